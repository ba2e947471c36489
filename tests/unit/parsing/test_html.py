"""HTML becomes Markdown without what a site repeats, and without losing anything else."""

from pipelines_persistence.ingestion.parsing.html import parse_html

LOREM = "The quick brown fox jumps over the lazy dog. " * 10


def test_menus_scripts_and_footers_go_and_structure_stays():
    document = parse_html(
        f"""<!doctype html><html lang=en><head><title> The  page </title><meta name=description content="About">
        <style>p {{}}</style><script>evil()</script></head><body><nav><a href=/>Home</a></nav>
        <main><h1>Head<a class=headerlink href=#x>¶</a></h1><p>{LOREM}<a href="/u">linked</a></p>
        <ul><li>one<li>two</ul><pre><code class="language-py">x = 1\ny = 2</code></pre>
        <table><tr><th>k<th>v<tr><td>a<td>b</table><aside>A note.</aside></main>
        <footer>Imprint</footer></body></html>""".encode()
    )
    assert document.title == "The page"
    assert document.metadata == {"language": "en", "description": "About"}
    for kept in ("# Head\n", "linked", "- one\n- two", "```py\nx = 1\ny = 2\n```", "| k | v |", "A note."):
        assert kept in document.text
    for gone in ("Home", "evil", "Imprint", "¶", "/u", "p {"):
        assert gone not in document.text


def test_a_small_main_element_does_not_hide_the_rest_of_the_page():
    document = parse_html(f"<body><main>Tiny</main><div>{LOREM}</div></body>".encode())
    assert "Tiny" in document.text
    assert "quick brown fox" in document.text


def test_a_page_whose_text_is_all_in_a_menu_keeps_it():
    assert "quick brown fox" in parse_html(f"<body><nav>{LOREM}</nav><p>x</p></body>".encode()).text


def test_a_heading_before_the_content_element_is_kept():
    page = f"<body><div id=header><h1>git-add(1)</h1></div><div id=content><p>{LOREM}</p></div><div id=footer>Last updated</div>"
    text = parse_html(page.encode()).text
    assert "# git-add(1)" in text
    assert "Last updated" not in text


def test_the_declared_charset_is_used():
    page = '<html><head><meta charset="windows-1251"><title>Привет</title></head><body>мир'.encode("cp1251")
    document = parse_html(page)
    assert (document.title, document.text) == ("Привет", "мир")


def test_broken_markup_still_gives_its_text():
    assert "b" in parse_html(b"<p>a<div><table><td>b</p></b></i>").text
    assert parse_html(b"<html><frameset></html>").text == ""


def test_text_at_the_bottom_of_a_deep_page_is_kept():
    assert "quick brown fox" in parse_html(f"<html>{'<div>' * 3000}{LOREM}".encode()).text
