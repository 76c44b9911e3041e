"""The forms of a page, as a browser without JavaScript sends them."""

import dataclasses
import html.parser
import urllib.parse


@dataclasses.dataclass
class Form:
    target: str
    fields: dict = dataclasses.field(default_factory=dict)
    words: str = ""

    @property
    def action(self):
        return self.fields["action"]

    def body(self, **filled):
        return urllib.parse.urlencode({**self.fields, **filled}).encode()


class Forms(html.parser.HTMLParser):
    """Those that are posted."""

    def __init__(self, markup):
        super().__init__()
        self.all, self.inside = [], None
        self.feed(markup)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "form" and attributes.get("method") == "post":
            self.inside = Form(attributes["action"])
            self.all.append(self.inside)
        elif tag == "input" and self.inside:
            self.inside.fields[attributes["name"]] = attributes.get("value", "")

    def handle_endtag(self, tag):
        if tag == "form":
            self.inside = None

    def handle_data(self, data):
        if self.inside:
            self.inside.words += data


def forms_of(markup, action=None):
    return [form for form in Forms(markup).all if action in (None, form.action)]


def form_of(markup, action):
    (form,) = forms_of(markup, action)
    return form
