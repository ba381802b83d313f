# SPDX-License-Identifier: MIT
"""The checker is right: made-up histories that break a promise are found out, and good ones pass."""

import random

import pytest

from history import History, Read, check, value_of

KEYS = ["a", "b", "c-with-dashes"]


def good(count=50):
    """A history of `count` values a key, all acknowledged, and the reads that it leads to: a key's partition is its number."""
    history, reads = History(), []
    for partition, key in enumerate(KEYS):
        values = [value_of(key, i) for i in range(count)]
        history.acknowledge(values)
        reads += [Read(partition, offset, key, value) for offset, value in enumerate(values)]
    return history, reads


def again(read, offset, partition=None):
    return Read(read.partition if partition is None else partition, offset, read.key, read.value)


def test_a_good_history_passes():
    history, reads = good()
    report = check(history, reads)
    assert report.good and report.counts() == {}
    assert (report.acknowledged, report.read, report.duplicates) == (150, 150, 0)


def test_reads_may_come_in_any_mixture_of_partitions():
    history, reads = good()
    random.Random(1).shuffle(reads)
    assert check(history, reads).good


def test_offsets_may_have_gaps():
    """Markers of transactions take offsets, too."""
    history, reads = good()
    assert check(history, [again(read, read.offset * 3 + 7) for read in reads]).good


@pytest.mark.parametrize("at", [0, 25, 149])
def test_a_lost_value(at):
    history, reads = good()
    gone = reads.pop(at)
    report = check(history, reads)
    assert report.counts() == {"lost": 1}
    assert report.problems["lost"] == [gone.value]


def test_all_lost():
    history, _ = good()
    assert check(history, []).counts() == {"lost": 150}


def test_a_duplicate_counts_where_once_is_promised():
    history, reads = good()
    reads.append(again(reads[3], 50))
    report = check(history, reads)
    assert report.counts() == {"duplicated": 1}
    assert report.problems["duplicated"] == ["a-0000003 at 0/3, 0/50"]
    report = check(history, reads, once=False)
    assert report.good and report.duplicates == 1


def test_a_rewind_is_no_new_order():
    """At least once: 10 … 19 come again after a crash, and then it goes on."""
    history, reads = good()
    own = [read for read in reads if read.key == "a"]
    rewound = own[:20] + own[10:]
    others = [read for read in reads if read.key != "a"]
    report = check(history, [again(read, i) for i, read in enumerate(rewound)] + others, once=False)
    assert report.good and report.duplicates == 10


def test_a_rewind_that_skips_is_found():
    """19 is there first, 15 … 18 only after it."""
    history, reads = good()
    own = [read for read in reads if read.key == "a"]
    wrong = own[:15] + own[19:20] + own[15:]
    others = [read for read in reads if read.key != "a"]
    report = check(history, [again(read, i) for i, read in enumerate(wrong)] + others, once=False)
    assert report.counts() == {"reordered": 4}


def test_two_that_changed_places():
    history, reads = good()
    reads[4], reads[5] = again(reads[5], 4), again(reads[4], 5)
    report = check(history, reads)
    assert report.counts() == {"reordered": 1}
    assert "a-0000004 at 0/5 behind a-0000005 at 0/4" in str(report)
    assert check(history, reads, ordered=False).good


def test_order_is_that_of_offsets_not_of_reading():
    history, reads = good()
    reads[4], reads[5] = reads[5], reads[4]
    assert check(history, reads).good


def test_order_is_promised_within_a_key_only():
    history, reads = History(), []
    for offset, ordinal in enumerate([3, 1, 2]):
        history.acknowledge(value_of(f"k{ordinal}", ordinal))
        reads.append(Read(0, offset, f"k{ordinal}", value_of(f"k{ordinal}", ordinal)))
    assert check(history, reads).good


def test_a_value_that_nobody_has_sent():
    history, reads = good()
    reads.append(Read(0, 50, "a", value_of("a", 50)))
    assert check(history, reads).counts() == {"invented": 1}


def test_an_unknown_outcome_may_be_there_or_not():
    history, reads = good()
    history.lose_sight_of([value_of("a", 50), value_of("a", 51)])
    assert check(history, reads).good
    assert check(history, reads + [Read(0, 50, "a", value_of("a", 51))]).good
    twice = [Read(0, offset, "a", value_of("a", 50)) for offset in (50, 51)]
    assert check(history, reads + twice).counts() == {"duplicated": 1}


def test_an_unknown_outcome_may_come_late():
    history, reads = good()
    history.lose_sight_of(value_of("a", 50))
    history.acknowledge(value_of("a", 51))
    late = [Read(0, 50, "a", value_of("a", 51)), Read(0, 51, "a", value_of("a", 50))]
    assert check(history, reads + late).good


def test_what_was_refused_must_not_be_there():
    history, reads = good()
    history.refuse(value_of("a", 50))
    assert check(history, reads).good
    assert check(history, reads + [Read(0, 50, "a", value_of("a", 50))]).counts() == {"refused": 1}


def test_what_was_aborted_must_not_be_there():
    history, reads = good()
    seen = Read(0, 50, "a", value_of("a", 49), aborted=True)
    assert check(history, reads + [seen], once=False).counts() == {"aborted": 1}


def test_a_key_in_two_partitions():
    history, reads = good()
    reads[49] = again(reads[49], 50, partition=2)
    assert check(history, reads).counts() == {"split": 1}


def test_several_faults_are_all_told():
    history, reads = good()
    reads.append(again(reads[0], 60))
    reads.append(Read(1, 61, "b", value_of("b", 99)))
    del reads[7]
    assert check(history, reads).counts() == {"lost": 1, "duplicated": 1, "invented": 1}


def test_random_damage_is_always_found():
    chance = random.Random(5)
    for _ in range(200):
        history, reads = good()
        at = chance.randrange(len(reads))
        kind = chance.choice(["lost", "duplicated", "reordered"])
        if kind == "lost":
            reads.pop(at)
        elif kind == "duplicated":
            reads.append(again(reads[at], 1000))
        else:
            at = chance.choice([i for i in range(len(reads) - 1) if reads[i].key == reads[i + 1].key])
            reads[at], reads[at + 1] = again(reads[at + 1], reads[at].offset), again(reads[at], reads[at + 1].offset)
        assert check(history, reads).counts() == {kind: 1}


def test_a_history_is_checked_again_from_its_file(tmp_path):
    history = History(tmp_path / "history.jsonl")
    history.acknowledge("a-0000001")
    history.acknowledge(["a-0000002", "a-0000003"])
    history.lose_sight_of("a-0000004")
    history.refuse("a-0000005")
    history.close()
    loaded = History.load(tmp_path / "history.jsonl")
    assert (loaded.acknowledged, loaded.unknown, loaded.refused) == (history.acknowledged, history.unknown, history.refused)
    assert check(loaded, [Read(0, 0, "a", "a-0000001")]).problems["lost"] == ["a-0000002", "a-0000003"]
