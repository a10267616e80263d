# SPDX-License-Identifier: AGPL-3.0-or-later
"""What text of a session gives away: operations, notes, paths and names of files.

Every search runs in linear time (RE2), and what it returns is a label of our own or a path, never
the text it was found in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from decnet_ttp.matching.pattern_set import PatternSet, compile_pattern

#: Between two words of a statement: blanks and comments, which hide one word from the next.
_GAP: Final = r"(?:\s|/\*[^*]*\*/)+"
#: Where a statement begins, in a dump of operations or as the argument of a client.
_START: Final = r"""(?:^|[;"'`(])(?:\s|/\*[^*]*\*/)*"""
#: What follows a path in a URL or at its end.
_PATH_END: Final = r"(?:[?#&;\s]|$)"


class Pattern(NamedTuple):
    """A pattern and what it means.

    Attributes:
        label: What evidence names it by.
        expression: RE2, searched anywhere, whatever the case.
    """

    label: str
    expression: str


class Labelled:
    """Patterns of which the first that is found counts.

    Args:
        patterns: In the order in which they are looked for.
    """

    def __init__(self, patterns: Iterable[Pattern]) -> None:
        self._labels = [(f"(?im){each.expression}", each.label) for each in patterns]
        self._patterns = PatternSet([expression for expression, _ in self._labels])

    def find(self, text: str) -> str | None:
        """Return the label of the first pattern that text contains."""
        return next(iter(self.find_all(text)), None)

    def find_all(self, text: str) -> list[str]:
        """Return the labels of all patterns that text contains."""
        found = self._patterns.match(text.encode()) if text else ()
        return [label for expression, label in self._labels if expression in found] if found else []


#: Operations that destroy data. DROP TABLE is not among them: intruders drop the tables that they
#: made themselves to carry the output of a command.
DESTRUCTION: Final = Labelled(
    (
        Pattern(
            "FLUSHALL",
            r"""(?:(?:^|[;|&])\s*(?:echo\s+)?|\bredis-cli(?:\s+-\S+(?:\s+[^\s-]\S*)?)*\s+)"""
            r"""["']?FLUSH(?:ALL|DB)["']?(?:\s+A?SYNC)?["']?\s*(?:$|[;|&"'])""",
        ),
        Pattern("DROP DATABASE", rf"""{_START}DROP{_GAP}(?:DATABASE|SCHEMA){_GAP}[\w`"'\[$]"""),
        Pattern("DROP DATABASE", r"\bmysqladmin\b[^\n;|&]*\sdrop\s+[\w`]|^\s*dropdb\s+[\w-]"),
        Pattern("TRUNCATE TABLE", rf"""{_START}TRUNCATE{_GAP}TABLE{_GAP}[\w`"'\[$]"""),
        Pattern("dropDatabase()", r"""\bdropDatabase["']?\s*(?:\(|:)"""),
        # A star alone ends the path; "DELETE /* comment */ FROM" is SQL.
        Pattern(
            "DELETE /_all",
            r"""\bDELETE\s+(?:https?://[^\s/]+)?/(?:_all(?:[\s?"']|$)|\*(?:$|[?"']|\s+HTTP/))""",
        ),
        Pattern(
            "DELETE /_all",
            r"""-X\s*["']?DELETE\b[^\n;|&]*/(?:_all|\*)(?:[\s?"']|$)""",
        ),
    )
)

#: Forms of addresses that money is sent to.
WALLETS: Final = Labelled(
    (
        Pattern(
            "btc_address",
            r"\b(?-i:[13][1-9A-HJ-NP-Za-km-z]{25,34})\b|\bbc1[02-9ac-hj-np-z]{11,71}\b",
        ),
        Pattern("xmr_address", r"\b(?-i:4[0-9AB][1-9A-HJ-NP-Za-km-z]{93})\b"),
    )
)

#: What tells a demand from a request for donations: something is held, or must be paid.
DEMAND: Final = Labelled(
    (
        Pattern(
            "demand",
            r"\b(?:ransom|decrypt|encrypt|recover|restor|stolen|leak|locked|delet|dumped)"
            r"|\bback(?:ed)?[ -]?up\b|\b(?:pay|payment)\b|\byour (?:data|files?|database|network)",
        ),
    )
)

#: Files that hold credentials, by the name that evidence gives them.
CREDENTIAL_FILES: Final = Labelled(
    (
        Pattern(".env", rf"(?:^|[/\\])\.env(?:\.[\w-]{{1,32}}){{0,2}}~?{_PATH_END}"),
        Pattern(".git/config", rf"(?:^|[/\\])\.git[/\\]+config{_PATH_END}"),
        Pattern(".git-credentials", rf"(?:^|[/\\])\.git-credentials{_PATH_END}"),
        Pattern(".aws/credentials", rf"(?:^|[/\\])\.aws[/\\]+credentials{_PATH_END}"),
        Pattern(".ssh/id_", rf"(?:^|[/\\])\.ssh[/\\]+id_(?:rsa|dsa|ecdsa|ed25519){_PATH_END}"),
        Pattern(
            "wp-config.php",
            rf"(?:^|[/\\=.])wp-config\.php(?:[._-](?:bak|backup|old|orig|save|sw[op]|txt|\d))?~?{_PATH_END}",
        ),
        Pattern(".netrc", rf"(?:^|[/\\])\.(?:netrc|pgpass|htpasswd|my\.cnf){_PATH_END}"),
        Pattern(".docker/config.json", rf"(?:^|[/\\])\.docker[/\\]+config\.json{_PATH_END}"),
        Pattern(".kube/config", rf"(?:^|[/\\])\.kube[/\\]+config{_PATH_END}"),
    )
)

#: Where Kubernetes keeps secrets: its interface, and the folder that lies in every pod.
SERVICE_ACCOUNT: Final = Labelled(
    (
        Pattern(
            "kubernetes_secrets",
            r"(?:^|https?://[^\s/?#]+)/+api/v1/(?:namespaces/[^\s/?#]+/)?secrets(?:[/?#\s]|$)",
        ),
        Pattern(
            "service_account_token",
            r"(?:^|[/=])(?:var/)?run/secrets/kubernetes\.io/serviceaccount(?:[/?#&\s]|$)",
        ),
    )
)
_NAMESPACE: Final = compile_pattern(r"(?i)/api/v1/namespaces/([a-z0-9-]{1,63})/secrets")

#: Names under which routers and switches keep what they are set to.
ROUTER_FILES: Final = Labelled(
    (
        Pattern("confg", r"-confg(?:\.\w{1,16})?\s*\z"),
        Pattern("startup-config", r"startup[-_]?config"),
        Pattern("running-config", r"running[-_]?config"),
        Pattern("cfg", r"\.cfg\s*\z"),
    )
)
#: Files of the same ending that telephones, boot loaders and hypervisors fetch.
_OTHER_CFG: Final = compile_pattern(
    r"(?i)(?:^|[/\\])(?:(?:sip|sep|spa|gs|cfg|snom|y0{4,})?[0-9a-f]{8,12}|sip(?:default|macaddress)"
    r"|grub|boot|isolinux|syslinux|extlinux|default|y0{6,}\d+|kickstart|ks|preseed)\.cfg\s*\z"
)


def namespace_of(path: str) -> str:
    """Return the namespace whose secrets a path names; empty when it names none."""
    found = _NAMESPACE.search(path.encode())
    return found.group(1).decode() if found else ""


def router_file(name: str) -> str | None:
    """Return what a file's name says of a router's configuration; None when nothing."""
    label = ROUTER_FILES.find(name)
    if label == "cfg" and _OTHER_CFG.search(name.encode()):
        return None
    return label


def ransom_note(text: str, keywords: Sequence[str]) -> tuple[list[str], list[str]] | None:
    """Return key words and forms of addresses in a note that demands payment.

    Args:
        text: Of any length.
        keywords: In lower case; one must stand in the text, in whatever case.

    Returns:
        The key words found and the labels of the addresses; None when it is no such note.
    """
    lowered = text.lower()
    found = [keyword for keyword in keywords if keyword in lowered]
    if not found or DEMAND.find(text) is None:
        return None
    wallets = WALLETS.find_all(text)
    return (found, wallets) if wallets else None
