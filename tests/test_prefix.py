"Cutting responses, smoothing entropies, and the archive of prefixes."
import json
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save
from torch import Tensor, tensor
from torch.testing import assert_close

from extra_nb.prefix import CUT_AT, Prefix, PrefixArchive, cut_points, mean_token_entropy, pack_prefixes, smooth_entropy, unpack_prefixes
from extra_nb.types import InputError

# ---- mean token entropy


@given(st.lists(st.floats(0, 12, width=32), min_size=1, max_size=300))
@settings(deadline=None)
def test_mean_token_entropy(H):
    assert mean_token_entropy(tensor(H)) == pytest.approx(sum(H) / len(H), abs=1e-6)


@pytest.mark.parametrize("H", [torch.zeros(0), torch.zeros(2, 2), tensor(1.0)])
def test_mean_of_nothing_is_refused(H):
    with pytest.raises(InputError, match=r"shape \(K,\)"): mean_token_entropy(H)


# ---- cut points

def tokenised(text, lengths):
    "`text` in pieces of the given lengths, over and over; an empty piece stands for a special token."
    pieces, i, k = [], 0, 0
    while i < len(text):
        n = lengths[k % len(lengths)]
        pieces.append(text[i : i + n])
        i, k = i + n, k + 1
    return pieces


def line_ends(text):
    "Positions after each line end, blank lines included in it: character by character."
    found, i = [], 0
    while i < len(text):
        if text[i] == "\n":
            end = j = i + 1
            while j < len(text) and text[j] in " \t\r\n":
                j += 1
                if text[j - 1] == "\n": end = j
            found.append(end)
            i = end
        else: i += 1
    return found


texts = st.lists(st.sampled_from(["a", "b.", " ", "\n", "\n\n", " \n", "4.0", "? ", "\r\n", "\t"]), min_size=1, max_size=30).map("".join)
splits = st.lists(st.integers(0, 4), min_size=1, max_size=8).filter(any)


def spaced(cuts, min_gap):
    kept = []
    for c in cuts:
        if not kept or c - kept[-1] >= min_gap: kept.append(c)
    return kept[:-1] if len(kept) > 1 else kept


@given(texts, splits, st.integers(1, 6))
@settings(deadline=None)
def test_cuts_follow_the_text_however_it_is_tokenised(text, lengths, min_gap):
    pieces = tokenised(text, lengths)
    reach = [len("".join(pieces[: k + 1])) for k in range(len(pieces))]
    expected = [1 + next(k for k, r in enumerate(reach) if r >= end) for end in line_ends(text)]
    assert cut_points(pieces, min_gap, max_cuts=1000) == spaced(expected, min_gap)


@given(texts, splits, st.integers(1, 8), st.integers(1, 6), st.integers(0, 12), st.sampled_from(["line", "sentence"]))
@settings(deadline=None)
def test_cuts_keep_their_rules(text, lengths, min_gap, max_cuts, start, at):
    pieces = tokenised(text, lengths)
    cuts = cut_points(pieces, min_gap, max_cuts, at, start=start)
    assert cuts == sorted(set(cuts)) and len(cuts) <= max_cuts
    assert all(start < c <= len(pieces) for c in cuts)
    assert all(b - a >= min_gap for a, b in zip([start, *cuts] if start else cuts, cuts if start else cuts[1:]))
    for c in cuts:  # the last token of a prefix holds the end of a line or of a sentence
        assert "\n" in pieces[c - 1] or (at == "sentence" and re.search(r"[.!?]", pieces[c - 1])) or not pieces[c - 1].strip()


@pytest.mark.parametrize("piece", ["\n", "\n\n", ".\n\n", ":\n", " \n", "\n  ", ")\n\n\n", "\nSo", "\r\n"])
def test_line_ends_inside_tokens_are_found(piece):
    assert cut_points(["a", "b", piece, "c", "d"], min_gap=1) == [3]


@pytest.mark.parametrize("pieces, cuts", [
    (["a", "\n", "\n", "b"], [3]), (["a", "\n", " ", "\n", "b"], [4]), (["a", "\n", " ", "b"], [2]), (["a", ".\n", "\nb"], [3]),
    (["a", "\n", "", "b"], [2]), (["a"], []), ([], []), (["\n"], [1]), (["a", "\n"], [2]), (["a", "\n", "b", "\n"], [2])])
def test_cuts_by_hand(pieces, cuts):
    assert cut_points(pieces, min_gap=1) == cuts


@pytest.fixture(scope="module")
def qwen_like():
    "A byte-level BPE tokenizer with Qwen's splitting rule, by which punctuation swallows the line breaks after it."
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    rule = r"(?i:'s|'t)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(rule), "isolated"),
                                                       pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(["Let us see.\n\nThen x is 4:\nso it is.\n\nDone!\n"] * 50, trainer)
    return tokenizer


@pytest.mark.parametrize("text", ["See.\n\nThen 4.\n\nSo x:\ny\n\n\nend", "naïve → ünï 中文.\n\n日本\nx", "a\n\nb\n  \nc\n"])
def test_cuts_with_a_real_tokenizer(qwen_like, text):
    ids = qwen_like.encode(text).ids
    pieces = [qwen_like.decode([i]) for i in ids]
    cuts = cut_points(pieces, min_gap=1)
    ends = line_ends(text)
    assert [qwen_like.decode(ids[:c]) for c in cuts] == [text[:end] for end in (ends[:-1] or ends)]


def test_token_ids_of_line_breaks_would_miss_paragraphs(qwen_like):
    ids = qwen_like.encode("See.\n\nThen it is 4.\n\nDone").ids
    assert ".\n\n" in [qwen_like.decode([i]) for i in ids]
    assert not {qwen_like.token_to_id("Ċ"), qwen_like.token_to_id("ĊĊ")} & set(ids)


def test_released_numbers_are_the_defaults():
    "32 tokens apart, at most 15, the last one dropped."
    lines = (["x"] * 31 + ["\n"]) * 40
    assert cut_points(lines) == cut_points(lines, min_gap=32, max_cuts=15, at="line")
    assert len(cut_points(lines)) == 15 and cut_points(lines)[0] == 32 and cut_points(lines)[-1] == 32 * 39
    close = (["x"] * 30 + ["\n"]) * 4  # 31 apart: every second one is merged
    assert cut_points(close) == [31]
    assert cut_points((["x"] * 31 + ["\n"]) * 4) == [32, 64, 96]


@pytest.mark.parametrize("n, most", [(16, 15), (30, 15), (200, 15), (5, 1), (5, 2), (7, 3)])
def test_too_many_cuts_are_thinned_evenly(n, most):
    cuts = cut_points(["x", "\n"] * (n + 1), min_gap=1, max_cuts=most)
    gaps = {b - a for a, b in zip(cuts, cuts[1:])}
    assert len(cuts) == min(n, most) and cuts[0] == 2
    assert most == 1 or (cuts[-1] == 2 * n and max(gaps) - min(gaps) <= 2)


@pytest.mark.parametrize("pieces, cuts", [
    (["Yes", ".", " No", ".", " So"], [2]), (["4", ".", "0", " is", " it", "."], []), (["Why", "?!", " I", ".\n", "x", ". ", "y"], [2, 4]),
    (["He", " said", ' "', "no", '."', " Then", ". ", "x"], [5]), (["x = 1", "\n", "y = 2", "\n", "z"], [2])])
def test_sentence_ends(pieces, cuts):
    assert cut_points(pieces, min_gap=1, at="sentence") == cuts


@given(st.lists(st.sampled_from([0.0, 0.1, 0.5, 1.0, 2.0]), min_size=1, max_size=40), st.integers(1, 6))
@settings(deadline=None)
def test_entropy_peaks(H, min_gap):
    cuts = cut_points(["x"] * len(H), min_gap, 1000, "entropy", tensor(H))
    mean = tensor(H).mean().item()
    peaks = [t for t in range(len(H)) if H[t] > mean and H[t] == max(H[max(0, t - min_gap + 1) : t + min_gap])]
    expected = []
    for t in peaks:
        if t > 0 and (not expected or t - expected[-1] >= min_gap): expected.append(t)
    assert cuts == expected


@pytest.mark.parametrize("kwargs, message", [
    ({"at": "lines"}, "did you mean 'line'"), ({"min_gap": 0}, "at least 1"), ({"max_cuts": 0}, "at least 1"),
    ({"at": "entropy"}, "one entropy for each of the 3 tokens; got none"), ({"at": "entropy", "entropies": torch.ones(2)}, "got 2")])
def test_bad_cuts_are_refused(kwargs, message):
    with pytest.raises(InputError, match=message): cut_points(["a", "\n", "b"], **kwargs)


def test_kinds_of_cut():
    for at in CUT_AT: assert cut_points(["a", ".\n", "b"], 1, 15, at, tensor([0.0, 0.0, 1.0])) == [2]


# ---- smoothing

@given(st.integers(0, 10**6), st.integers(1, 8), st.floats(0.02, 5))
@settings(deadline=None)
def test_smoothing_is_its_definition(seed, K, tau):
    rng = torch.Generator().manual_seed(seed)
    e, h = torch.randn(K, 4, generator=rng, dtype=torch.float64), torch.rand(K, generator=rng, dtype=torch.float64)
    s = smooth_entropy(e, h, tau)
    for k in range(K):
        w = [torch.exp((e[k] @ e[j] / (e[k].norm() * e[j].norm()) - 1) / tau).item() for j in range(K)]
        assert s[k].item() == pytest.approx(sum(a * b.item() for a, b in zip(w, h)) / sum(w), abs=1e-4)
    assert (s >= h.min() - 1e-5).all() and (s <= h.max() + 1e-5).all()


@given(st.integers(0, 10**6), st.integers(1, 8), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_smoothing_follows_a_permutation_and_ignores_lengths(seed, K, random):
    rng = torch.Generator().manual_seed(seed)
    e, h, order = torch.randn(K, 4, generator=rng), torch.rand(K, generator=rng), list(range(K))
    random.shuffle(order)
    scaled = e[order] * (0.5 + torch.rand(K, 1, generator=rng))
    assert_close(smooth_entropy(scaled, h[order]), smooth_entropy(e, h)[order], atol=1e-5, rtol=0)
    assert_close(smooth_entropy(e, h + 2), smooth_entropy(e, h) + 2, atol=1e-5, rtol=0)


def test_one_outlier_does_not_win_but_a_steady_family_does():
    family = torch.randn(1, 16, generator=torch.Generator().manual_seed(0)).repeat(6, 1)
    other = -family
    h = tensor([1.0, 1, 0, 1, 1, 1, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4])
    assert h.argmin() == 2 and smooth_entropy(torch.cat([family, other]), h).argmin() >= 6


@pytest.mark.parametrize("e, h, tau", [(torch.ones(2, 3), torch.ones(3), 0.1), (torch.ones(2, 3), torch.ones(2, 1), 0.1), (torch.ones(3), torch.ones(3), 0.1),
                                       (torch.ones(2, 3), torch.ones(2), 0.0), (torch.ones(2, 3), torch.ones(2), float("nan"))])
def test_bad_smoothing_is_refused(e, h, tau):
    with pytest.raises(InputError): smooth_entropy(e, h, tau)


# ---- the archive

def stored(state):
    "A flat state after JSON and safetensors."
    tensors = load(save({k: v.contiguous() for k, v in state.items() if isinstance(v, Tensor)}))
    return {**json.loads(json.dumps({k: v for k, v in state.items() if not isinstance(v, Tensor)})), **tensors}


@given(st.lists(st.tuples(st.integers(1, 8), st.lists(st.integers(1, 8), min_size=1, max_size=4, unique=True)), max_size=6), st.integers(1, 9))
@settings(deadline=None)
def test_archive_is_a_ring_buffer_and_survives_storage(responses, capacity):
    rng, archive, plain = torch.Generator().manual_seed(0), PrefixArchive(capacity), []
    for length, cuts in responses:
        ids, H = torch.randint(3, (length,), generator=rng), torch.rand(length, generator=rng)
        for c in sorted(cuts):
            if c > length: continue
            e = torch.randn(3, generator=rng)
            archive.add(ids[:c], H[:c], e)
            plain = [*plain, (ids[:c].tolist(), H[:c].tolist(), e.tolist())][-capacity:]
    def content(a): return [(p.ids.tolist(), p.entropies.tolist(), p.embedding.tolist()) for p in a.prefixes]
    assert content(archive) == plain and len(archive) == len(plain)
    resumed = PrefixArchive(capacity)
    resumed.load_state_dict(stored(archive.state_dict()))
    assert content(resumed) == plain
    if plain:
        assert_close(resumed.smoothed(), archive.smoothed(), atol=0, rtol=0)
        s = smooth_entropy(tensor([e for *_, e in plain]), tensor([sum(H) / len(H) for _, H, _ in plain]))
        assert_close(archive.smoothed(), s, atol=1e-5, rtol=0)
        assert archive.best() is archive.prefixes[archive.smoothed().argmin()]


def test_nested_prefixes_are_stored_once_and_others_are_not_confused():
    ids, H = torch.arange(10), torch.rand(10, generator=torch.Generator().manual_seed(0))
    nested = [Prefix(ids[:k], H[:k], torch.ones(2)) for k in (2, 5, 9)]
    other_entropies = Prefix(ids[:10], torch.cat([H[:9] + 1, H[9:]]), torch.ones(2))  # same tokens, sampled by another policy
    state = pack_prefixes([*nested, other_entropies])
    assert state["sizes"] == [9, 10] and len(state["ids"]) == 19
    for a, b in zip([*nested, other_entropies], unpack_prefixes(state), strict=True): assert_close((a.ids, a.entropies), (b.ids, b.entropies), rtol=0, atol=0)
    assert unpack_prefixes(stored(pack_prefixes([]))) == []


def test_archive_keeps_the_type_of_what_it_is_given():
    archive = PrefixArchive()
    archive.add((1, 2), tensor([0.25, 0.5], dtype=torch.bfloat16), torch.ones(2, dtype=torch.float64))
    p = archive.best()
    assert (p.ids.dtype, p.entropies.dtype, p.embedding.dtype) == (torch.int64, torch.float32, torch.float32)
    assert p.entropy == 0.375 and archive.prefixes.maxlen == 128


@pytest.mark.parametrize("ids, H, e, message", [
    ([], torch.zeros(0), torch.ones(2), "needs tokens"), ([1, 2], torch.zeros(1), torch.ones(2), "one entropy for each"),
    ([1], torch.zeros(1), torch.ones(3), "size 3 cannot join an archive of size 2")])
def test_bad_prefixes_are_refused(ids, H, e, message):
    archive = PrefixArchive()
    archive.add([1], torch.zeros(1), torch.ones(2))
    with pytest.raises(InputError, match=message): archive.add(ids, H, e)


def test_empty_archive():
    with pytest.raises(InputError, match="no best prefix"): PrefixArchive().best()
    with pytest.raises(InputError, match="at least 1 prefix"): PrefixArchive(0)
