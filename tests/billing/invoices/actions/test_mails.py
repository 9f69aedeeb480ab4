"""Mails after each other over one connection, and what a server may do meanwhile."""

from datetime import date

from billing.invoices.actions.mails import line_kept_open, mail_pack
from billing.invoices.models import BillingAccount
from tests.mail import MailSink

ACCOUNT = BillingAccount(name="Tulip Data B.V.", emails=["finance@acme.example"])


def send(number: int) -> bool:
    return mail_pack(ACCOUNT, date(2026, 10, 1), "papers.zip", b"zip", f"pack-{number}")


def ids(sink: MailSink) -> list[str]:
    return [str(mail["Message-ID"]).strip("<").partition("@")[0] for mail in sink.mails]


def test_they_share_a_connection_until_the_block_ends(sink: MailSink) -> None:
    with line_kept_open():
        assert [send(number) for number in range(3)] == [True] * 3
    assert [send(number) for number in range(3, 5)] == [True] * 2
    assert ids(sink) == [f"pack-{number}" for number in range(5)]
    assert len(set(sink.connections[:3])) == 1
    assert len(set(sink.connections)) == 3


def test_a_server_that_takes_no_more_over_a_connection_is_given_the_mail_over_another(sink: MailSink) -> None:
    with line_kept_open():
        assert send(1)
        sink.refusals = ["421 enough of this"]
        assert send(2)
        assert send(3)
    assert ids(sink) == ["pack-1", "pack-2", "pack-3"]
    first, second, third = sink.connections
    assert first != second
    assert second == third


def test_a_mail_that_is_refused_keeps_no_other_one(sink: MailSink) -> None:
    with line_kept_open():
        assert send(1)
        sink.refusals = ["554 no such thing"]
        assert not send(2)
        assert send(3)
    assert ids(sink) == ["pack-1", "pack-3"]


def test_a_server_that_is_away_keeps_the_mails_for_the_next_run(sink: MailSink) -> None:
    sink.refusals = ["421 away", "421 still away"]
    with line_kept_open():
        # A line of no use yet is not tried twice.
        assert not send(1)
        assert not send(2)
        assert send(2)
    assert ids(sink) == ["pack-2"]
