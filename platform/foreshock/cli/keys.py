"""``foreshock keys``: the keys that seal what is secret at rest, and those that sign."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from foreshock.cli.app import app
from foreshock.cli.console import say, show_json, show_table
from foreshock.cli.options import AsJson, the_store

keys = typer.Typer(help="Keys that seal and sign: list, rotate; seal and open files.", no_args_is_help=True)
app.add_typer(keys, name="keys")


@keys.command("list")
def keys_list(as_json: AsJson = False) -> None:
    """Keys that seal, by their ids, and how many values each seals."""
    from foreshock.secrets import open_keyring
    from foreshock.secrets.resealing import sealed_by
    from foreshock.settings import load_settings

    store = the_store()
    ring = open_keyring(load_settings().home, os.environ.get("ENCRYPTION_KEY"))
    used = sealed_by(store)
    found = [
        {"id": key.hex(), "current": key == ring.current, "at_hand": key in ring.keys, "sealed": used.get(key, 0)}
        for key in [*ring.keys, *(key for key in used if key not in ring.keys)]
    ]
    if as_json:
        show_json(found)
        return
    rows = [
        (str(k["id"]), "seals" if k["current"] else "opens" if k["at_hand"] else "is missing", str(k["sealed"]))
        for k in found
    ]
    show_table(("key", "use", "values"), rows)


@keys.command("rotate")
def keys_rotate(
    keep_old: Annotated[bool, typer.Option("--keep-old", help="Keep older keys, as for backups.")] = False,
    signing: Annotated[bool, typer.Option("--signing", help="Make new keys that sign, too.")] = False,
) -> None:
    """Make a new key that seals, seal everything again by it, and forget the older ones; what runs goes on.

    Keys in ENCRYPTION_KEY, or where it refers to: put the new one before the old one there first; this seals again.
    """
    from foreshock.audit import record
    from foreshock.audit.signing import rotate_keys
    from foreshock.identity.access_tokens import AccessTokens, given_keys
    from foreshock.secrets import key_file, open_keyring
    from foreshock.secrets.resealing import forget_old_keys, reseal_all
    from foreshock.settings import load_settings

    home, environment = load_settings().home, os.environ.get("ENCRYPTION_KEY")
    store = the_store()
    file = key_file(home, environment)
    ring = open_keyring(home, environment) if file is None else file.rotate()
    done = reseal_all(store, ring)
    if file is not None and not keep_old:
        ring = forget_old_keys(store, file, ring)
    with store.begin() as c:
        if signing:
            AccessTokens(store, lambda: ring, given=given_keys(os.environ.get("JWT_SECRET_KEY"))).rotate(c)
            rotate_keys(store, c)
        record(store, c, "keys:rotate", ring.current.hex(), resealed=done, signing=signing)
    say(f"{ring.current.hex()} seals now; {done} values were sealed again")


Output = Annotated[Path, typer.Option("--output", "-o", help="File to write.")]


@keys.command("recipient")
def keys_recipient(
    private: Annotated[Path, typer.Argument(help="File for the private key; the public one goes beside it, .pub.")],
) -> None:
    """Make a key pair for files that are kept for years: X25519 and ML-KEM-768; needs no store."""
    from foreshock.cli.files import make_room, writing
    from foreshock.secrets.archive import make_key

    public = private.with_name(f"{private.name}.pub")
    make_room(private)
    text = make_key(private)
    with writing(public) as part:
        part.write_text(f"{text}\n")
    say(f"{public} seals; {private} opens: keep it where no server reaches it, and a copy of it")


@keys.command("seal")
def keys_seal(
    file: Annotated[Path, typer.Argument(help="File to seal, as a backup.")],
    to: Annotated[Path, typer.Option(help="Public key, as foreshock keys recipient makes it.")],
    output: Output,
) -> None:
    """Seal a file for the holder of a private key."""
    from foreshock.cli.files import make_room, reading, writing
    from foreshock.secrets.archive import read_public, seal_to

    key = read_public(to)
    make_room(output)
    with reading(file) as source, writing(output) as part, part.open("wb") as target:
        seal_to(key, source, target)
    say(f"{output}: written")


@keys.command("open")
def keys_open(
    file: Annotated[Path, typer.Argument(help="A sealed file: an audit export, a backup.")],
    key: Annotated[Path, typer.Option(help="Private key, as foreshock keys recipient makes it.")],
    output: Output,
) -> None:
    """Open a sealed file; it is written whole, or not at all."""
    from foreshock.cli.files import make_room, reading, writing
    from foreshock.secrets.archive import open_sealed, read_private

    private = read_private(key)
    make_room(output)
    with reading(file) as source, writing(output) as part:
        part.touch(0o600)
        with part.open("wb") as target:
            target.writelines(open_sealed(private, source))
    say(f"{output}: written")
