"""Prometheus' counts are held against what routers told a little earlier and a little later."""

from datetime import UTC, datetime

from tidegate.metrics.agreement import KEPT, Agreement
from tidegate.metrics.increments import REQUESTS, Counted, Process, SeriesKey
from tidegate.model.reasons import Reason

KEY = SeriesKey(Process("tidegate", "router-a"), "digits-1", REQUESTS)


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def told(seconds: int, share: float, *, scrape: int = 15) -> Agreement:
    """A router that counts ten requests a second is read each second; Prometheus has a share of them."""
    agreement = Agreement()
    for now in range(1000, 1000 + seconds):
        agreement.note({KEY: Counted(10.0 * now, float(now))})
        scraped = now // scrape * scrape
        agreement.compare({KEY: Counted(10.0 * scraped * share, float(scraped))})
    return agreement


def test_who_reads_the_same_counters_agrees_however_seldom_one_reads() -> None:
    for scrape in (1, 15, 60):
        assert told(300, 1.0, scrape=scrape).gap(at(1300)) is None


def test_a_difference_that_lasts_is_told_with_both_counts() -> None:
    gap = told(200, 0.5).gap(at(1200))

    assert gap is not None
    assert gap.reason == Reason.SOURCES_DIFFER
    assert "for 3m15s" in gap.message
    assert "router router-a itself counted 11,820 requests" in gap.message
    assert "Prometheus has 5,925" in gap.message


def test_a_difference_of_one_scrape_is_none() -> None:
    agreement = told(60, 1.0)
    agreement.compare({KEY: Counted(1.0, 1056.0)})
    agreement.note({KEY: Counted(10_700.0, 1070.0)})
    agreement.compare({KEY: Counted(1.0, 1060.0)})

    assert agreement.gap(at(1070)) is None


def test_a_router_that_began_anew_is_compared_from_then_on() -> None:
    agreement = told(100, 1.0)
    for now in range(1100, 1200):
        agreement.note({KEY: Counted(10.0 * (now - 1100), float(now))})
        agreement.compare({KEY: Counted(10.0 * max(0, now - 1110), float(now - 10))})

    assert agreement.gap(at(1200)) is None


def test_a_router_that_is_gone_differs_no_more() -> None:
    agreement = told(200, 0.5)
    agreement.keep([Process("tidegate", "router-b")])

    assert agreement.gap(at(1200)) is None
    assert agreement == Agreement(_latest=agreement._latest)


def test_what_is_kept_does_not_grow() -> None:
    (kept,) = told(2000, 1.0)._read.values()

    assert len(kept) <= KEPT
