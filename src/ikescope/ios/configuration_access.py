"""The rows of who may log in: `username`, `enable secret`, `ip ssh`, `ip ssh pubkey-chain` and `line vty`."""

from __future__ import annotations

import re
from collections.abc import Iterable

from msgspec.structs import replace

from ikescope.config.model import LoginSecret, RouterConfig, Secret, SshSettings, User, UserKey, VtyLines
from ikescope.crypto import passwords
from ikescope.ios.configuration_bench import Bench, Refused, Scope, flag, one
from ikescope.ios.grammar import Args, Row

REMOVED = "<removed>"
KEY_LINE = 72
"""Characters of a public key that stand on one line."""

_NOT_A_HASH = (
    "ERROR: The secret you entered is not a valid encrypted secret.\n"
    "To enter an UNENCRYPTED secret, do not specify type {kind} encryption.\n"
    "When you properly enter an UNENCRYPTED secret, it will be encrypted."
)
_WEAK = "WARNING: type 5 is MD5: write the secret again without `5` and it is kept as type 9."
_KINDS = {"scrypt": passwords.SCRYPT, "sha256": passwords.PBKDF2}
_IN_CLEAR = "{<kind:=0> <secret:password>|<secret:password>}"
_ALGORITHM = f"algorithm-type <algorithm:=scrypt|sha256> secret {_IN_CLEAR}"
_ANY = "{<kind:=0|5|8|9> <secret:password>|<secret:password>}"


def _secret(bench: Bench, args: Args, who: str, held: LoginSecret | None) -> LoginSecret | None:
    """What a line's secret is kept as; `held` for one that was redacted."""
    text, kind = args["secret"], int(args.get("kind", passwords.CLEAR))
    if text == REMOVED:
        return held
    if kind == passwords.CLEAR:
        return _hashed(bench, who, text.encode(), _KINDS[args.get("algorithm", "scrypt")])
    if not passwords.is_hash(kind, text):
        if bench.line:  # a file of elsewhere loads; the check says who cannot log in
            return held
        raise Refused(_NOT_A_HASH.format(kind=kind))
    if kind == passwords.MD5:
        bench.replies.append(_WEAK)
    return LoginSecret(kind=kind, text=Secret(text.encode()))


def _hashed(bench: Bench, who: str, clear: bytes, kind: int) -> LoginSecret:
    """A password as it is kept; in clear, and never printed, where no key file gives a salt."""
    if len(clear) > passwords.LONGEST:
        raise Refused(f"had {len(clear)} octets, wanted at most {passwords.LONGEST}", "secret")
    salt = bench.opener.salt(f"{who} {kind} ".encode() + clear)
    if salt is None:
        return LoginSecret(kind=passwords.CLEAR, text=Secret(clear))
    return LoginSecret(kind=kind, text=Secret(passwords.make(clear, lambda count: salt[:count], kind).encode()))


def _secret_text(secret: LoginSecret) -> str:
    return f"secret {secret.kind} {secret.text.octets.decode()}"


def without_secrets(config: RouterConfig, *, hashes: bool) -> RouterConfig:
    """A configuration as it may be printed: no password in clear, and no hash unless `hashes`."""

    def shown(secret: LoginSecret | None) -> LoginSecret | None:
        hidden = secret is not None and (secret.kind == passwords.CLEAR or not hashes)
        return replace(secret, text=Secret(REMOVED.encode())) if secret is not None and hidden else secret

    users = {name: replace(user, secret=shown(user.secret)) for name, user in config.users.items()}
    return replace(config, users=users, enable_secret=shown(config.enable_secret))


def _username(bench: Bench, args: Args) -> None:
    name, users = args["name"], bench.config.users
    if args.no:
        bench.set(users={key: user for key, user in users.items() if key != name})
        return
    user = users.get(name) or User(name=name, line=bench.line)
    if "privilege" in args:
        user = replace(user, privilege=args["privilege"])
    if "secret" in args:
        user = replace(user, secret=_secret(bench, args, name, user.secret))
    bench.set(users={**users, name: user})


def _password(bench: Bench, args: Args) -> None:
    """A password that could be read back is not kept: the user is, and cannot log in with it."""
    if args.no:
        return
    _username(bench, Args((name, args[name]) for name in ("name", "privilege") if name in args))
    bench.replies.append(f"% The password is not kept: write `username {args['name']} secret PASSWORD`.")


def _show_users(config: RouterConfig) -> Iterable[str]:
    for user in config.users.values():
        privilege = "" if user.privilege is None else f" privilege {user.privilege}"
        secret = "" if user.secret is None else f" {_secret_text(user.secret)}"
        yield f"username {user.name}{privilege}{secret}"


def _enable(bench: Bench, args: Args) -> None:
    if args.get("level", 15) != 15:
        bench.replies.append("% Only level 15 has an enable secret on ikescope: this line is without effect.")
        return
    bench.set(enable_secret=None if args.no else _secret(bench, args, "enable", bench.config.enable_secret))


def _show_enable(config: RouterConfig) -> Iterable[str]:
    return () if config.enable_secret is None else (f"enable {_secret_text(config.enable_secret)}",)


#: Where IOS prints them: after the hostname, before all that is about crypto.
GLOBAL_ROWS_FIRST = (
    Row(
        "global",
        f"enable {{secret [level <level:1-15>] {_ANY}|{_ALGORITHM}}}",
        _enable,
        _show_enable,
        "enable secret [level <level:1-15>] [<_:line>]",
    ),
    Row(
        "global",
        f"username <name:word> [privilege <privilege:0-15>] [{{secret {_ANY}|{_ALGORITHM}}}]",
        _username,
        _show_users,
        "username <name:word> [<_:line>]",
    ),
    Row(
        "global",
        "username <name:word> [privilege <privilege:0-15>] password <_:password>",
        _password,
        undo="username <name:word> password [<_:line>]",
    ),
)


_SSH = {"version": "version", "time-out": "time_out", "authentication-retries": "retries", "maxstartups": "startups"}


def _ssh(word: str, numbers: str, *, shown: bool = False) -> Row:
    """A row of `ip ssh` with one number; the first prints all of them, as IOS without a `!` between."""
    attribute = _SSH[word]

    def run(bench: Bench, args: Args) -> None:
        number = getattr(SshSettings(), attribute) if args.no else args["number"]
        bench.set(ssh=replace(bench.config.ssh, **{attribute: number}))

    return Row("global", f"ip ssh {word} <number:{numbers}>", run, _show_ssh if shown else None)


def _show_ssh(config: RouterConfig) -> Iterable[str]:
    for word, attribute in _SSH.items():
        number = getattr(config.ssh, attribute)
        if number != getattr(SshSettings(), attribute):
            yield f"ip ssh {word} {number}"


# Public keys. A key is typed on any number of lines; it is whole when its blob is.


def _chain(bench: Bench, args: Args) -> None:
    if args.no:
        bench.set(users={name: replace(user, keys=()) for name, user in bench.config.users.items()})
        return
    bench.path = [Scope("pubkey-chain", "", "ip ssh pubkey-chain")]


def _key_user(bench: Bench, args: Args) -> None:
    name, users = args["name"], bench.config.users
    if args.no:
        if name in users:
            bench.set(users={**users, name: replace(users[name], keys=())})
        return
    if name not in users:
        bench.set(users={**users, name: User(name=name, line=bench.line)})
    bench.path = [*bench.path[:1], Scope("pubkey-user", name, f"ip ssh pubkey-chain username {name}")]


def _set_keys(bench: Bench, keys: tuple[UserKey, ...]) -> None:
    name = bench.path[1].name
    bench.set(users={**bench.config.users, name: replace(bench.config.users[name], keys=keys)})


def _keys(bench: Bench) -> tuple[UserKey, ...]:
    return tuple(key for key in bench.config.users[bench.path[1].name].keys if key.data or key.md5)


def _key_string(bench: Bench, args: Args) -> None:
    if args.no:
        _set_keys(bench, ())
        return
    _set_keys(bench, (*_keys(bench), UserKey(line=bench.line)))
    bench.path = [*bench.path[:2], Scope("key-string", bench.path[1].name, f"{bench.path[1].header} key-string")]


_DATA = re.compile(r"(?:(?:ssh|ecdsa|sk-ssh|sk-ecdsa)-\S+\s+)?([A-Za-z0-9+/]+={0,2})(?:\s+(\S.*))?")


def _key_data(bench: Bench, args: Args) -> None:
    found = _DATA.fullmatch(args["data"])
    if found is None:
        raise Refused("% SSH: wanted a public key in base64, or `exit`", "data")
    *others, last = bench.config.users[bench.path[1].name].keys
    new = replace(last, data=last.data + found[1], comment=found[2] or last.comment)
    _set_keys(bench, (*others, new))


def _key_hash(bench: Bench, args: Args) -> None:
    new = UserKey(md5=args["md5"].hex(), algorithm=args["algorithm"], comment=args.get("comment", ""), line=bench.line)
    kept = tuple(key for key in _keys(bench) if key.md5 != new.md5)
    _set_keys(bench, kept if args.no else (*kept, new))


def _quit(bench: Bench, _: Args) -> None:
    bench.path = bench.path[:-1]


def _show_keys(config: RouterConfig) -> Iterable[str]:
    users = [user for user in config.users.values() if any(key.data or key.md5 for key in user.keys)]
    if users:
        yield "ip ssh pubkey-chain"
    for user in users:
        yield f"  username {user.name}"
        for key in user.keys:
            comment = f" {key.comment}" if key.comment else ""
            if key.md5:
                yield f"   key-hash {key.algorithm} {key.md5.upper()}{comment}"
            elif key.data:
                yield "   key-string"
                lines = [key.data[at : at + KEY_LINE] for at in range(0, len(key.data), KEY_LINE)]
                yield from (f"    {line}" for line in [*lines[:-1], lines[-1] + comment])
                yield "   exit"
        yield "  exit"


_HASHED_KEYS = "ssh-rsa|ssh-ed25519|ecdsa-sha2-nistp256|ecdsa-sha2-nistp384|ecdsa-sha2-nistp521"
PUBKEY_CHAIN_ROWS = (
    Row("pubkey-chain", "username <name:word>", _key_user, undo="="),
    Row("pubkey-chain", "quit", _quit, undo=None),
)
PUBKEY_USER_ROWS = (
    Row("pubkey-user", "key-string", _key_string, undo="="),
    Row(
        "pubkey-user",
        f"key-hash <algorithm:={_HASHED_KEYS}> <md5:md5> [<comment:line>]",
        _key_hash,
        undo="=",
    ),
    Row("pubkey-user", "quit", _quit, undo=None),
)
KEY_STRING_ROWS = (
    Row("key-string", "quit", _quit, undo=None),
    Row("key-string", "<data:line>", _key_data, undo=None),
)

# The lines that SSH comes in by.


def _vty(bench: Bench, args: Args) -> None:
    first, last = args["first"], args.get("last", args["first"])
    name = f"{first} {last}"
    if args.no:
        bench.drop("vty", name)
        return
    if last < first:
        raise Refused(f"had lines {first} to {last}, wanted a range that holds one", "last")
    if name not in bench.config.vty:
        bench.put("vty", VtyLines(name=name, line=bench.line))
    bench.enter("vty", name, f"line vty {name}")


def _exec_timeout(bench: Bench, args: Args) -> None:
    bench.change(exec_timeout=0 if args.no else args["minutes"] * 60 + args.get("seconds", 0))


def _show_exec_timeout(lines: VtyLines) -> Iterable[str]:
    standard = lines.exec_timeout == VtyLines(name="").exec_timeout
    return () if standard else (f"exec-timeout {lines.exec_timeout // 60} {lines.exec_timeout % 60}",)


def _number(syntax: str, word: str, attribute: str) -> Row:
    return one(
        "vty",
        f"{word} <{syntax}>",
        attribute,
        convert=lambda args: args[syntax.partition(":")[0]],
        text=lambda number: f"{word} {number}",
    )


VTY_ROWS = (
    Row("vty", "exec-timeout <minutes:0-35791> [<seconds:0-2147483>]", _exec_timeout, _show_exec_timeout),
    _number("level:0-15", "privilege level", "privilege"),
    _number("length:0-512", "length", "length"),
    _number("width:0-512", "width", "width"),
    flag("vty", "login local", "login_local"),
    one(
        "vty",
        "transport input <what:=all|none|ssh|telnet>+",
        "transport",
        default=(),
        convert=lambda args: args["what"],
        text=lambda what: f"transport input {' '.join(what)}",
    ),
)

#: Where IOS prints them: after routes and access-lists.
GLOBAL_ROWS_LAST = (
    _ssh("version", "2-2", shown=True),
    _ssh("time-out", "1-120"),
    _ssh("authentication-retries", "0-5"),
    _ssh("maxstartups", "2-128"),
    Row("global", "ip ssh pubkey-chain", _chain, _show_keys, "="),
    Row(
        "global",
        "line vty <first:0-98> [<last:0-98>]",
        _vty,
        lambda lines: [f"line vty {lines.name}"],
        "=",
        opens="vty",
    ),
)
