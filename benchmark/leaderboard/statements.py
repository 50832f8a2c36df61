"""What somebody says of an entry after scoring its videos again, and which maintainer signed that.

Anybody can write the file. OpenSSH signs it, and checks signatures against a list of keys without a network, so that
only a signature by a listed key lifts an entry.
"""

import dataclasses
import subprocess
import tempfile
from pathlib import Path
from typing import ClassVar, Literal, TypeVar

from pydantic import AwareDatetime, Field, TypeAdapter, ValidationError

from benchmark.errors import UserError
from benchmark.files import write_whole
from benchmark.results.fields import Part, Plain, Sha256, read_limited
from benchmark.results.problems import first_problem
from benchmark.results.record import Record

MAINTAINERS_NAME = "maintainers"
"""In the leaderboards' folder: a line `NAME ssh-ed25519 KEY` for each maintainer, as `man ssh-keygen` has it."""

STATED_VIDEOS = 200
LARGEST_DIFFERENCE = 0.05
"""Of a class probability, that may still count as the same: bfloat16 on another machine differs by less."""

_SECONDS, _MOST_BYTES = 20.0, 100_000


class Statement(Part):
    """What came out when videos were scored again from their files."""

    file_name: ClassVar[str]
    namespace: ClassVar[str]  # a signature of one kind of statement is none of another

    ledger_sha256: Sha256
    checkpoint_sha256: Sha256
    record_sha256: Sha256 | None = None  # a signature without it is about no record
    videos: int = Field(ge=1)
    seed: int = Field(ge=0, lt=2**63)
    largest_difference: float = Field(ge=0, le=1)
    allowed_difference: float = Field(ge=0, le=LARGEST_DIFFERENCE)
    created: AwareDatetime
    code: Plain
    by: Plain | None = None

    @classmethod
    def signature_name(cls) -> str:
        """Name of the file with its signature."""
        return f"{cls.file_name}.sig"

    def proves(self, record: Record) -> bool:
        """Whether it is about a record, large enough, and the scores came out."""
        return (
            self.ledger_sha256 == record.ledger.sha256
            and self.checkpoint_sha256 == record.checkpoint.sha256
            and min(STATED_VIDEOS, record.videos) <= self.videos <= record.videos
            and self.largest_difference <= self.allowed_difference
        )


S = TypeVar("S", bound=Statement)

Signature = Literal["none", "listed", "wrong"]


@dataclasses.dataclass(frozen=True)
class Signed:
    """Who vouches for a statement.

    Args:
        signature: `none` was made; it is by a `listed` key, and so is what the record says; or it is `wrong`.
        name: Of the maintainer, as the list has it, or else of whom the file names.
    """

    signature: Signature
    name: str

    def __str__(self) -> str:
        return self.name if self.signature == "listed" else f"{self.name} (unsigned)"


def read_statement(folder: Path, kind: type[S]) -> S | None:
    """What is beside a record of some kind, or None.

    Raises:
        UserError: If it is something else.
        OSError: If it cannot be read.
    """
    path = folder / kind.file_name
    if not path.exists():
        return None
    try:
        return kind.model_validate_json(read_limited(path))
    except ValidationError as error:
        raise UserError(f"{kind.file_name} is none: {first_problem(error)}") from None


def write_statement(folder: Path, statement: Statement, key: Path | None = None) -> Path:
    """Leave a statement beside the record that it is about, signed where a key is given.

    Args:
        folder: Of the record.
        statement: What is said.
        key: A maintainer's private key, or the public one of a key that an agent holds.

    Raises:
        UserError: If it cannot be signed; then it is not written.
    """
    path = folder / statement.file_name
    text = statement.model_dump_json(indent=1) + "\n"
    signature = None if key is None else _sign(text, statement.namespace, key)
    path.with_name(statement.signature_name()).unlink(missing_ok=True)
    write_whole(path, text)
    if signature is not None:
        write_whole(path.with_name(statement.signature_name()), signature)
    return path


def require_signer(by: str | None, key: Path | None) -> None:
    """Refuse a name or a key that will not do, before anything is scored for it.

    Raises:
        UserError: If the name is none to show, or the key cannot sign.
    """
    try:
        TypeAdapter(Plain | None).validate_python(by)
    except ValidationError as error:
        raise UserError(f"--by: {first_problem(error)}") from None
    if key is not None:
        _sign("whether this key can sign", "clipbench", key)


def _sign(text: str, namespace: str, key: Path) -> str:
    """The signature of a text by a maintainer's key."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "text"
        file.write_bytes(text.encode())
        code, said = _ssh_keygen("sign", "-f", str(key), "-n", namespace, str(file))
        if code:
            raise UserError(f"--key {key} cannot sign: {said}")
        return file.with_name("text.sig").read_text("utf-8")


def signed_by(folder: Path, statement: Statement, record_sha256: str, maintainers: Path) -> Signed:
    """Who vouches for a statement in a folder.

    Args:
        folder: Of the record.
        statement: What was read there.
        record_sha256: Of the record's file, which a signature has to be about.
        maintainers: List of keys.

    Raises:
        UserError: If there is a signature and no OpenSSH to check it with.
    """
    path, signature = folder / statement.file_name, folder / statement.signature_name()
    named = Signed("none", statement.by or "an unknown person")
    if not signature.is_file():
        return named
    wrong = dataclasses.replace(named, signature="wrong")
    sizes = [path.stat().st_size for path in (signature, maintainers) if path.is_file()]
    if len(sizes) < 2 or max(sizes) > _MOST_BYTES or statement.record_sha256 != record_sha256:
        return wrong
    allowed = ("-n", statement.namespace, "-s", str(signature), "-f", str(maintainers))
    code, said = _ssh_keygen("find-principals", *allowed)
    name = said.splitlines()[0].strip() if said else ""
    if code or _ssh_keygen("verify", *allowed, "-I", name, read=path)[0]:
        return wrong
    try:
        return Signed("listed", TypeAdapter(Plain).validate_python(name))
    except ValidationError:  # a name that nobody should be shown
        return wrong


def _ssh_keygen(verb: str, *words: str, read: Path | None = None) -> tuple[int, str]:
    """Exit code of `ssh-keygen -Y VERB` and what it said; it asks for nothing but the password of a key."""
    try:
        with (Path(__file__) if read is None else read).open("rb") as file:
            done = subprocess.run(
                ["ssh-keygen", "-Y", verb, *words],
                stdin=None if verb == "sign" else file,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=None if verb == "sign" else _SECONDS,
                check=False,
            )
    except FileNotFoundError:
        raise UserError("signatures need OpenSSH: install ssh-keygen 8.9 or newer") from None
    except subprocess.TimeoutExpired:
        return 1, "no answer"
    return done.returncode, (done.stdout or done.stderr).strip()
