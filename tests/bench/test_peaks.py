"Peak memory: the same whatever a process did before."
import jobs

from extra_nb.bench.child import in_child


def test_peaks_do_not_depend_on_what_a_process_did_before():
    peaks = in_child(jobs.peaks_after_much, megabytes=100)
    assert all(95 * 2**20 < peak < 110 * 2**20 for peak in peaks), peaks
