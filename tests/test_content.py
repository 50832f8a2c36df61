import numpy as np
import pytest

from benchmark.content import LARGEST_SHARE, WORDS, Contents, shared, word_of


def bits_of(word: int) -> list[int]:
    return [word >> place & 1 for place in range(64)]


def plain_share(one: np.ndarray, other: np.ndarray) -> float:
    """The smallest share of differing bits over both cuts and mirroring, bit by bit."""
    found = []
    for cut, other_cut in ((0, 0), (0, 3), (3, 0)):
        for is_mirrored in (False, True):
            differing = counted = 0
            for frame in range(3):
                first, second = bits_of(int(one[cut + frame])), bits_of(int(other[other_cut + frame]))
                if not (first[0] and second[0]):
                    continue
                counted += 63
                for place in range(1, 64):
                    flipped = is_mirrored and place % 8 % 2 == 1
                    differing += first[place] != second[place] ^ flipped
            found.append(differing / counted if counted >= 2 * 63 else 1.0)
    return min(found)


def made(seed: int, videos: int) -> Contents:
    rng = np.random.default_rng(seed)
    prints = rng.integers(0, 2**63, (videos, WORDS), dtype=np.uint64) << np.uint64(1) | np.uint64(1)
    return Contents(rng.integers(1, 2**62, videos), prints)


def changed(contents: Contents, share: float) -> Contents:
    flips = np.random.default_rng(1).random((len(contents), WORDS, 64)) < share
    flips[:, :, 0] = False
    words = np.packbits(flips, axis=-1, bitorder="little").view("<u8")[..., 0]
    return Contents(np.zeros(len(contents), np.int64), contents.prints ^ words)


def test_pairs_are_those_of_a_plain_comparison_of_bits() -> None:
    held = made(0, 40)
    asked = changed(held.take(np.arange(10)), 0.1)
    found = shared(asked, held)
    expected = {
        (one, other): share
        for one in range(10)
        for other in range(40)
        if (share := plain_share(asked.prints[one], held.prints[other])) <= LARGEST_SHARE
    }
    assert {pair: 0 for pair in zip(found.first.tolist(), found.second.tolist(), strict=True)} == dict.fromkeys(
        expected, 0
    )
    assert found.difference.tolist() == pytest.approx([expected[pair] for pair in sorted(expected)])
    assert [(n, n) for n in range(10)] == sorted(expected)
    assert not found.same_bytes.any()


def test_a_mirrored_frame_flips_the_odd_horizontal_frequencies() -> None:
    cv2 = pytest.importorskip("cv2")
    grey = np.random.default_rng(3).random((32, 32)).astype(np.float32) * 255
    words = [int(word_of(cv2.dct(np.ascontiguousarray(side))[:8, :8], 50.0)) for side in (grey, grey[:, ::-1])]
    expected = sum(1 << place for place in range(64) if place % 8 % 2 == 1)
    assert words[0] ^ words[1] == expected
    one, other = (Contents(np.zeros(1, np.int64), np.full((1, WORDS), word, np.uint64)) for word in words)
    assert len(shared(one, other)) == 1
    assert word_of(np.ones((8, 8)), 0.5) == 0


def test_bytes_pair_every_video_with_every_copy_once() -> None:
    nothing = Contents.nothing(5)
    contents = Contents(np.array([7, 0, 7, 9, 7]), nothing.prints)
    found = shared(contents)
    assert list(zip(found.first.tolist(), found.second.tolist(), strict=True)) == [(0, 2), (0, 4), (2, 4)]
    assert found.same_bytes.all()
    across = shared(contents, Contents(np.array([9, 0, 7]), Contents.nothing(3).prints))
    assert list(zip(across.first.tolist(), across.second.tolist(), strict=True)) == [(0, 2), (2, 2), (3, 0), (4, 2)]


def test_a_pair_within_is_found_once_and_by_its_bytes_first() -> None:
    held = made(5, 6)
    twice = Contents.joined([held, held])
    found = shared(twice)
    assert list(zip(found.first.tolist(), found.second.tolist(), strict=True)) == [(n, n + 6) for n in range(6)]
    assert found.same_bytes.all()


def test_what_shows_nothing_is_like_nothing() -> None:
    held = made(6, 3)
    held.prints[1, 1:3] = 0  # two frames of three show nothing
    held.prints[2, 1] = 0
    assert held.has_print.tolist() == [True, False, True]
    unnamed = Contents(np.zeros(3, np.int64), held.prints)
    found = shared(unnamed, unnamed)
    assert list(zip(found.first.tolist(), found.second.tolist(), strict=True)) == [(0, 0), (2, 2)]
    assert len(shared(Contents.nothing(4))) == len(shared(Contents.nothing(), held)) == 0
