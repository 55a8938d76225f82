"""Links of HTML mails that lead by way of us: what is changed, and that nothing else is."""

import time
from html import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.messenger.html_links import attribute_text, find_links
from services.messenger.links import PublicLinks
from services.messenger.tokens import Keyring
from services.messenger.tracking import MAX_LINKS, location, track, web_target

ID = "s" + "0" * 32
LINKS = PublicLinks("https://m.shop.test", Keyring({1: b"k" * 32}, 1))
PIXEL = f'<img src="{LINKS.open(ID)}" width="1" height="1" border="0" alt="">'


def led(number: int) -> str:
    return LINKS.click(ID, number)


# Pieces of a mail: what stands before a link's address, the address as written, what it leads to, what follows.
_URL = st.builds(
    "{}://{}/{}".format,
    st.sampled_from(["http", "https", "HTTPS"]),
    st.sampled_from(["shop.test", "příklad.cz", "a.b:8080"]),
    st.text(st.sampled_from("abž/?=&;#%+ \"'<>|"), max_size=12).map(str.strip),
)
_QUOTED = st.tuples(
    st.sampled_from(["<a href=", "<A\n class=x HREF = ", "<area href=", '<a title="a>b <a href=" href=']),
    st.sampled_from("\"'"),
    _URL,
    st.sampled_from([">", " target=_blank>", "/>", " href='https://second.test/'>"]),
).map(lambda one: (one[0] + one[1], escape(one[2]), one[2], one[1] + one[3]))
_BARE = st.sampled_from(["https://shop.test/x", "http://shop.test/?a=1&b=2"]).map(
    lambda url: ("<a href=", url, url, " >text")
)
_OTHER = st.sampled_from(
    [
        "text & more <b>bold</b> 1 < 2",
        "<!-- <a href='https://comment.test/'> -->",
        "<!--><b>",
        "<!--[if mso]><a href='https://mso.test/'>x</a><![endif]-->",
        "<![if !mso]>",
        "<style>a[href='https://s.test']{} <a href='https://style.test/'></style>",
        "<title><a href='https://title.test/'></title >",
        "<script>'<a href=\"https://script.test/\">'</script\n>",
        "<a href='mailto:a@b.cz'>",
        "<a href='tel:+420601000001'>",
        "<a href='#top'>",
        "<a href=''>",
        "<a href>",
        "<a name=here>",
        "<a href='/relative'>",
        "<a href='//host.test/x'>",
        "<a href='javascript:alert(1)'>",
        "<a href='https://not.test/' data-no-track>",
        "<a DATA-NO-TRACK=1 href='https://not.test/'>",
        "<a href='https://shop.test\\@other.test/'>",
        f"<a href='{LINKS.unsubscribe(ID)}'>",
        f"<a href='{LINKS.preferences(ID)}'>",
        "<img src='https://img.test/a.png'>",
        "<link href='https://css.test/a.css'>",
        "<abbr href='https://abbr.test/'>",
        "</a href='https://end.test/'>",
        "žluťoučký\U0001f600",
    ]
).map(lambda text: (text, "", None, ""))


@given(st.lists(_QUOTED | _BARE | _OTHER, max_size=12))
def test_links_lead_by_way_of_us_and_nothing_else_changes(pieces: list[tuple[str, str, str | None, str]]) -> None:
    html = "".join(before + written + after for before, written, _, after in pieces)
    targets: list[str] = []
    expected = []
    for before, written, target, after in pieces:
        if target is not None and target not in targets:
            targets.append(target)
        expected.append(before + (written if target is None else led(targets.index(target) + 1)) + after)
    tracked = track(html, ID, LINKS)
    assert tracked.html == "".join(expected) + PIXEL
    assert list(tracked.links) == targets


@given(st.text(st.sampled_from("<>!-/ahrefbody='\" \n&;t:p"), max_size=60) | st.text(max_size=200))
def test_whatever_the_html_is_only_addresses_of_links_are_replaced(html: str) -> None:
    tracked = track(html, ID, LINKS)
    assert tracked.html.replace(PIXEL, "") == html or tracked.links


@given(st.text(st.sampled_from("<a href='https://x.t/&#38;\">-!"), max_size=80))
def test_taking_the_links_back_gives_the_html(noise: str) -> None:
    html = f"{noise}<a href='https://one.test/'>1</a>{noise}<a href=\"https://two.test/\">"
    tracked = track(html, ID, LINKS).html.replace(PIXEL, "")
    written = [html[link.start : link.end] for link in find_links(html).links if web_target(link.address)]
    for link in find_links(tracked).links:
        named = LINKS.clicked(link.address.rpartition("/")[2])
        if named is not None:
            tracked = tracked.replace(link.address, written.pop(0), 1)
    assert tracked == html


def test_the_pixel_stands_at_the_end_of_the_body() -> None:
    assert track("<body>x</BODY\n></html>", ID, LINKS).html == f"<body>x{PIXEL}</BODY\n></html>"
    assert track("<html>x</html>", ID, LINKS).html == f"<html>x{PIXEL}</html>"
    assert track("<body>x<!-- </body> --></body>", ID, LINKS).html == f"<body>x<!-- </body> -->{PIXEL}</body>"


@pytest.mark.parametrize("html", ["x<!-- open", "x<a href='https://a.test", "x<style>b{}", "x<b", "x<plaintext>"])
def test_html_that_ends_in_the_middle_stays_as_it_is(html: str) -> None:
    assert (track(html, ID, LINKS).html, track(html, ID, LINKS).links) == (html, ())


def test_a_target_has_one_number_however_often_it_stands_there() -> None:
    html = "<a href='https://a.test/?x=1&amp;y=2'>1</a><a href=\"https://a.test/?x=1&y=2\">2</a>"
    tracked = track(html, ID, LINKS)
    assert tracked.links == ("https://a.test/?x=1&y=2",)
    assert tracked.html.count(led(1)) == 2


def test_numbers_of_an_earlier_attempt_stay() -> None:
    first = track("<a href='https://a.test/'><a href='https://b.test/'>", ID, LINKS)
    second = track("<a href='https://c.test/'><a href='https://b.test/'>", ID, LINKS, first.links)
    assert second.links == ("https://a.test/", "https://b.test/", "https://c.test/")
    assert second.html == f"<a href='{led(3)}'><a href='{led(2)}'>{PIXEL}"


def test_what_is_too_many_or_too_long_leads_there_directly() -> None:
    html = "".join(f"<a href='https://a.test/{number}'>" for number in range(MAX_LINKS + 2))
    tracked = track(html, ID, LINKS)
    assert len(tracked.links) == MAX_LINKS
    assert f"<a href='https://a.test/{MAX_LINKS + 1}'>" in tracked.html
    assert web_target("https://a.test/" + "ž" * 1000) is None


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "ftp://a.test/",
        "http:a.test",
        "http:/a.test/",
        "https:///a.test/",
        "https://",
        "https://a.test\\@b.test/",
        "https://a.test/\x00x",
        "https://a.test/\x1bx",
        "https://a.test/\udc80",
        "java\nscript:alert(1)",
    ],
)
def test_what_is_no_address_of_the_web_is_no_target(address: str) -> None:
    assert web_target(address) is None


def test_an_address_is_taken_as_a_browser_takes_it() -> None:
    assert web_target(" \n ht\ntps://a.test/\tx\r\n") == "https://a.test/x"


@given(st.text().map(lambda rest: web_target(f"https://a.test/{rest}")))
def test_a_location_is_one_line_of_ascii(target: str | None) -> None:
    if target is not None:
        assert location(target).isascii()
        assert location(target).isprintable()
        assert " " not in location(target)


@pytest.mark.parametrize(
    ("raw", "meant"),
    [
        ("?a=1&amp;b=2", "?a=1&b=2"),
        ("?a=1&copy=2", "?a=1&copy=2"),
        ("?a=1&copyx", "?a=1&copyx"),
        ("?a&copy;", "?a©"),
        ("?a&copy", "?a©"),
        ("&#38;&#x26;&#65", "&&A"),
        ("&nosuch;&", "&nosuch;&"),
        ("&amp;lt;", "&lt;"),
    ],
)
def test_references_in_an_address_are_read_as_in_an_attribute(raw: str, meant: str) -> None:
    assert attribute_text(raw) == meant


@pytest.mark.parametrize(
    "piece", ["<a href='", "<a ", "<!--", "<!-", '<a href="x" ', "</body", "&amp", "<style>", "="]
)
def test_any_html_takes_one_walk(piece: str) -> None:
    html = piece * (200_000 // len(piece))
    started = time.perf_counter()
    find_links(html)
    assert time.perf_counter() - started < 3
