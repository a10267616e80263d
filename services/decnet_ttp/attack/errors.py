# SPDX-License-Identifier: AGPL-3.0-or-later
"""What can be wrong with ATT&CK data, as types a caller can act on.

Each message is one line: what is wrong, why, and the cure.
"""

from pathlib import Path

from decnet_ttp.core.errors import DecnetError


class AttackError(DecnetError):
    """Root of every error about ATT&CK data; by itself, data not in the state a call needs."""

    code = "FAILED_PRECONDITION"
    reason = "ATTACK_DATA_UNUSABLE"


class UnknownTechniqueError(AttackError):
    """A technique id that the loaded release neither has nor redirects.

    Attributes:
        technique_id: The id that was asked for.
        release: The loaded release, such as ``"17"``.
        revoked: True when the release knows the id but names no successor.
    """

    code = "NOT_FOUND"
    reason = "ATTACK_TECHNIQUE_UNKNOWN"

    def __init__(self, technique_id: str, release: str, *, revoked: bool = False) -> None:
        self.technique_id = technique_id
        self.release = release
        self.revoked = revoked
        why = "revokes {!r} without a successor" if revoked else "has no technique {!r}"
        super().__init__(
            f"ATT&CK {release} {why.format(technique_id)}; "
            "use an id of that release, or load another with `decnet-ttp attack fetch`",
            technique_id=technique_id,
            release=release,
        )


class UnknownTacticError(AttackError):
    """A tactic that no Enterprise release known here has.

    Attributes:
        tactic: The id or short name that was asked for.
        release: The loaded release.
    """

    code = "NOT_FOUND"
    reason = "ATTACK_TACTIC_UNKNOWN"

    def __init__(self, tactic: str, release: str) -> None:
        self.tactic = tactic
        self.release = release
        super().__init__(
            f"ATT&CK {release} has no tactic {tactic!r}; "
            "use a TAnnnn id or a short name such as 'credential-access'",
            tactic=tactic,
            release=release,
        )


class CatalogueInvalidError(AttackError):
    """A file that is neither a readable catalogue nor a usable bundle.

    Attributes:
        path: The file.
        detail: What is wrong with it.
    """

    def __init__(self, path: Path | str, detail: str) -> None:
        self.path = Path(path)
        self.detail = detail
        super().__init__(
            f"{path} is no usable ATT&CK data: {detail}; build it again with "
            "`decnet-ttp attack build` or take an official Enterprise bundle",
            path=path,
            detail=detail,
        )


class LicenceMissingError(AttackError):
    """ATT&CK data without MITRE's licence text beside it.

    Attributes:
        path: Where the text was looked for.
    """

    reason = "ATTACK_LICENCE_MISSING"

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(
            f"{path} is missing or is not MITRE's licence, without which ATT&CK data may not be "
            f"copied or loaded; run `decnet-ttp attack license > {path}`",
            path=path,
        )


class DigestMismatchError(AttackError):
    """Bytes whose sha256 is not the pinned one.

    Attributes:
        what: The file or address the bytes came from.
        expected: The pinned digest, lower-case hex.
        actual: The digest found, or None when nothing pinned was found at all.
    """

    reason = "ATTACK_DIGEST_MISMATCH"

    def __init__(self, what: str, expected: str, actual: str | None) -> None:
        self.what = what
        self.expected = expected
        self.actual = actual
        found = f"has sha256 {actual}" if actual else "matches no catalogue at hand"
        super().__init__(
            f"{what} {found}, but {expected} is pinned; "
            "take the pinned file, or correct the pin if the change is meant",
            what=what,
            expected=expected,
            actual=actual or "",
        )


class ReleaseUnknownError(AttackError):
    """A source that does not say which ATT&CK release it holds.

    Attributes:
        source: The source.
    """

    reason = "ATTACK_RELEASE_UNKNOWN"

    def __init__(self, source: str) -> None:
        self.source = source
        super().__init__(
            f"{source} does not say which ATT&CK release it holds; "
            "build it with `decnet-ttp attack build --release NUMBER`",
            source=source,
        )


class BuilderMissingError(AttackError):
    """The optional libraries that read a bundle or the galaxy are not installed.

    Attributes:
        library: The library that is absent.
    """

    reason = "ATTACK_EXTRA_MISSING"

    def __init__(self, library: str) -> None:
        self.library = library
        super().__init__(
            f"{library} is not installed, and reading ATT&CK sources needs it; "
            "install the extra: pip install 'decnet-ttp[attack]'",
            library=library,
        )


class DownloadFailedError(AttackError):
    """An official release that could not be brought here.

    Attributes:
        url: The address.
        detail: What went wrong.
    """

    code = "UNAVAILABLE"
    reason = "ATTACK_DOWNLOAD_FAILED"

    def __init__(self, url: str, detail: str) -> None:
        self.url = url
        self.detail = detail
        super().__init__(
            f"{url} could not be downloaded: {detail}; "
            "check the network, or bring the bundle here and run `decnet-ttp attack build FILE`",
            url=url,
            detail=detail,
        )
