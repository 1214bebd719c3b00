"""How checks look at a lab: techniques are tried, and the channels in question are verified."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from types import MappingProxyType

from labkit import controls, techniques
from labkit.analysis.findings.threats import find_threats
from labkit.analysis.minimal_cuts import smallest
from labkit.cluster import Environment, File, Node, read_environment
from labkit.errors import ConfigError, LabBusy, LabkitError, ProbeError
from labkit.lab import LabStatus
from labkit.lab.bootstrap import units
from labkit.lab.fingerprint import Fingerprint, differences
from labkit.model import Foothold, Model, read_model
from labkit.verification import verify
from labkit.workshop.definition import SOLVED, Outcome
from labkit.workshop.edited import EditedLab, with_modes
from labkit.workshop.opened import opened_files, readable

__all__ = [
    "Attempt",
    "Mistake",
    "compare",
    "edited_beside",
    "fewest_of",
    "form",
    "hardened_state",
    "newcomers",
    "predictions",
    "sets_of_names",
    "smallest_set",
    "tally",
    "unread",
    "ways_back",
]

#: Why an attack still succeeds that the files forbid: with a file that was not read, and without.
NOT_READ = (
    "the files already forbid it, and nothing has read them since",
    "a program reads its files when it starts, and systemd a unit's at daemon-reload",
)
READ = (
    "the files already forbid it, and the units that name them have read them",
    "something else allows it: another program, or a mode that nothing has set yet "
    "(systemd-tmpfiles --create)",
)
#: How a unit in such a state starts with its machine again.
STARTS_NO_MORE = {"disabled": "enable", "masked": "unmask", "masked-runtime": "unmask --runtime"}
OPENED = "the task is done, and another door is open:"
#: What keeps a mended unit from its start (systemd.unit(5), StartLimitBurst=).
REFUSED = (
    "after five failed starts in ten seconds systemd refuses more, until: systemctl reset-failed"
)
#: The answers to the question how a technique ends.
WORDS = ("succeeded", "refused", "unknown")
#: How much of a word is right if it is nearly a name (:func:`difflib.get_close_matches`).
CLOSE = 0.85
NOTHING: Mapping[str, str] = MappingProxyType({})
UNITS = "/etc/systemd/system"
#: A path on one of a machine's file systems that lie in its memory.
IN_MEMORY = re.compile(r"(?<![\w./])(?:/var/run|/run|/tmp|/dev/shm)/[\w./@-]+")
#: The flags whose files kube-apiserver reads again when they change.
READ_AGAIN = ("--authorization-config", "--authentication-config")


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attack that must be refused.

    Parameters
    ----------
    technique : str
        Its name.
    reasons : str
        A regular expression for the reasons that count; another reason is another door, or a
        component that is gone.
    foothold : Foothold, optional
        By default the technique's first one.
    """

    technique: str
    reasons: str
    foothold: Foothold | None = None


def hardened_state(
    lab: EditedLab,
    attempts: Sequence[Attempt],
    keep: Sequence[str],
    demand: Mapping[str, str] = NOTHING,
    files: Callable[[Environment], Outcome | None] = lambda env: None,
    works: Callable[[EditedLab], Outcome | None] = lambda lab: None,
    came: Sequence[tuple[str, str]] = (),
) -> Outcome:
    """Check a lab that somebody hardened by hand.

    Parameters
    ----------
    lab : EditedLab
    attempts : sequence of Attempt
        Each must be refused, as the files of the machines say and for the right reason.
    keep : sequence of str
        Shell patterns for the ids of channels. Each must match an open channel, and what the files
        say of these channels must be true in the lab: the legitimate clients still work.
    demand : mapping of str to str
        The value that a property of each of these channels must have, by the property's name.
    files : callable
        Takes the environment as the files of the machines say it; returns an outcome if they are
        wrong, whatever the lab does. No attack is tried then.
    works : callable
        Takes the lab; returns an outcome if what people do there does not work any more.
    came : sequence of tuple of str
        What must not have come to the machines beside listeners: a section of the fingerprint,
        such as "processes", and a word in the name; "" for each name.

    Returns
    -------
    Outcome
        Not solved if anything has no clear result: no answer is never a refusal.

    Raises
    ------
    LabBusy
        Another process changes the lab.
    NoSuchLab
        The lab is not up.
    """
    try:
        return _look_again(lab, partial(_look, lab, attempts, keep, demand, files, works, came))
    except ConfigError as error:
        evidence = (error.message, *error.evidence)
        return Outcome("unreadable", ("a file cannot be understood:", *evidence))
    except LabBusy:
        raise
    except LabkitError as error:
        status = lab.status()
        if status.state in ("absent", "incomplete") or status.other_files:
            raise
        if status.state != "ready":
            return Outcome(
                "does-not-run",
                ("something of the lab does not run:", *status.lines(), *_ways_out(lab, status)),
            )
        return Outcome("unclear", ("the lab gave no clear answer:", error.message, *error.evidence))


def _ways_out(lab: EditedLab, status: LabStatus) -> list[str]:
    """Return what leads out of a dead end, the smallest step first."""
    command = f"%lab reset {lab.mode}"
    alone = [name for name in status.problems if name in lab.cluster and name in status.machines]
    options = f"--name {lab.name} --mode {lab.mode}"
    failed = [it for name in alone for it in status.problems[name] if it.endswith(" is failed")]
    return [
        "find out why, and mend it:",
        *(f"labkit logs {name}{_unit(status.problems[name])} {options}" for name in alone),
        *([REFUSED] if failed else ()),
        "or go back to the start:",
        *(f"{command} {name}    # {name} alone" for name in alone),
        f"{command}    # the whole lab",
    ]


def _unit(problems: Sequence[str]) -> str:
    """Return the unit that a machine's first problem is about, with a space before it; or ""."""
    found = re.match(r"([\w@.-]+)\.service ", problems[0])
    return f" {found[1]}" if found else ""


def _look_again(lab: EditedLab, look: Callable[[], Outcome]) -> Outcome:
    """Look at a lab, and once more if it gave no clear answer: a component may just start.

    systemd calls a unit active before the program listens, so even a ready lab may refuse a
    connection.
    """
    with lab.exclusive("check"):
        try:
            found = look()
            if found.state not in ("unclear", "client-broken") or not _may_be_starting(lab):
                return found
        except (ConfigError, LabBusy):
            raise
        except LabkitError:
            if not _may_be_starting(lab):
                raise
    with lab.exclusive("check"):  # which waits until the lab is ready
        lab.wait_for_units()
        return look()


def _may_be_starting(lab: EditedLab) -> bool:
    status = lab.status()
    return status.state == "ready" or status.may_recover


def _look(
    lab: EditedLab,
    attempts: Sequence[Attempt],
    keep: Sequence[str],
    demand: Mapping[str, str],
    files: Callable[[Environment], Outcome | None],
    works: Callable[[EditedLab], Outcome | None],
    came: Sequence[tuple[str, str]],
) -> Outcome:
    lab.recover()
    states = lab.states_of_machines()
    environment, uneven = with_modes(lab.environment, *states)
    model = read_model(environment)
    if wrong := _uneven(lab.uneven) or files(environment):
        return wrong
    stale = _unread(lab)  # now: some attacks restart the client that they listen to
    for attempt in attempts:
        if found := _tried(lab, model, attempt, stale):
            return stale if stale and found.state == "unclear" else found
    return (
        _kept(lab, model, keep, demand)
        or stale
        or works(lab)
        or _beside(*states, (("listeners", ""), *came))
        or _readable_keys(lab, states[1])
        or _opened_by_files(lab, model)
        or _uneven(uneven)
        or _next_boot(lab, model)
        or _kept_in_memory(lab)
        or Outcome(
            SOLVED,
            (
                f"refused: {', '.join(attempt.technique for attempt in attempts)}",
                "the legitimate clients still work",
            ),
        )
    )


def _uneven(lines: Sequence[str]) -> Outcome | None:
    return Outcome("uneven", ("machines that do the same work differ:", *lines)) if lines else None


def _tried(lab: EditedLab, model: Model, attempt: Attempt, stale: Outcome | None) -> Outcome | None:
    """Try an attack; return None if it is refused as it should be."""
    technique = techniques[attempt.technique]
    foothold = attempt.foothold or technique.footholds[0]
    what = f"{technique.name} ({foothold})"
    predicted = technique.predict(model, foothold)
    try:
        with lab.reporter.step(f"{lab.mode}: try {what}"):
            verdict = technique.run(lab, foothold)
    except ProbeError as error:
        first = f"{what} has no clear result: nothing answered, or what must still work does not:"
        lines = (first, error.message)
        return Outcome("unclear", (*lines, *error.evidence[:3]))
    if verdict.succeeded and predicted.succeeds:
        return Outcome("open", (f"{what} still succeeds: {verdict.reason}",))
    if verdict.succeeded:
        first = f"{what} still succeeds: {verdict.reason}"
        why = (*NOT_READ, *stale.lines) if stale else READ
        return Outcome("not-restarted", (first, *why))
    refused = f"{what} is refused now ({verdict.reason})"
    if predicted.succeeds:
        lines = (
            f"{refused}, but the files still allow it",
            "the check tries one case of it; or the next start takes it up again",
        )
        return Outcome("not-in-files", lines)
    if predicted.succeeds is None:
        first = f"{refused}; labkit does not know whether the files keep it so:"
        return Outcome("files-unclear", (first, *predicted.because))
    if not re.fullmatch(attempt.reasons, verdict.reason):
        text = f"{what} is refused for another reason than the one wanted: {verdict.reason}"
        return Outcome("other-reason", (text,))
    return None


def _unread(lab: EditedLab) -> Outcome | None:
    """Say whether a file was changed by hand after the start of a unit that names it.

    An attack tries one machine, and one case; what is true of the others follows from their files,
    if they were read.
    """
    for edit in lab.by_hand:
        for node in (it for it in lab.environment.nodes if it.role == edit.role):
            for unit in _readers(node, edit.path) if edit.text is not None else ():
                if found := unread(lab, node.name, unit, edit.path):
                    return found
    return None


def _opened_by_files(lab: EditedLab, model: Model) -> Outcome | None:
    """Say what the edited files leave open, or may, and the lab's own files do not."""
    env = lab.environment
    plain = read_environment(env.folder, [it for it in env.edits if it not in lab.by_hand])
    before, now = find_threats(read_model(plain)), find_threats(model)
    known = {it.id for it in before.open}
    lines = [f"{it.title}: {it.subject}" for it in now.open if it.id not in known]
    if lines:
        return Outcome("opened", (OPENED, *lines[:4]))
    known |= {it.id for it in before.state("unknown")}
    odd = [f"{it.title}: {it.subject}" for it in now.state("unknown") if it.id not in known]
    unread = {(it.path, it.text, it.why) for it in plain.unknowns}
    odd += [str(it) for it in env.unknowns if (it.path, it.text, it.why) not in unread]
    if not odd:
        return None
    return Outcome("files-unclear", ("labkit does not know what this opens:", *odd[:4]))


def _next_boot(lab: EditedLab, model: Model) -> Outcome | None:
    """Say whether a unit does not start with its machine any more, that runs or is used."""
    for node in lab.environment.nodes:
        if node.name not in lab.cluster:
            continue
        argv = ["systemctl", "show", "--property=Id,ActiveState,UnitFileState"]
        shown = lab.exec(node.name, [*argv, *units(node)]).text
        for block in shown.strip().split("\n\n"):
            said = dict(line.partition("=")[::2] for line in block.splitlines())
            mend = STARTS_NO_MORE.get(said["UnitFileState"])
            if not mend:
                continue
            unit = f"{said['Id']} of {node.name}"
            again = f"systemctl {mend} {said['Id']}"
            if said["ActiveState"] == "active":
                line = f"{unit} runs, but will not after the machine's next start"
                return Outcome("does-not-run", (line, again))
            server = f"{said['Id'].removesuffix('.service')}@{node.name}"
            if clients := _clients(model, server):
                line = f"{unit} does not run any more, and {clients[0]} calls it"
                return Outcome("does-not-run", (line, f"{again}; systemctl start {said['Id']}"))
    return None


def _clients(model: Model, server: str) -> list[str]:
    """Return the components that call one, by their ids."""
    channels = model.open_channels(f"* -> {server}:*")
    own = (it for it in channels if not it.from_anyone)
    return [it.client for it in own if not it.client.startswith("local-users@")]


def _kept_in_memory(lab: EditedLab) -> Outcome | None:
    """Say whether an edited file names a file that is gone when its machine starts again.

    Of those that the lab's own files name, a program makes each when it starts.
    """
    plain = read_environment(lab.environment.folder)
    for edit in lab.by_hand:
        for node in (it for it in lab.environment.nodes if it.role == edit.role):
            own = {path for it in plain.node(node.name).files.values() for path in _in_memory(it)}
            for path in sorted({*IN_MEMORY.findall(edit.text or "")} - own):
                # a socket is made again by what listens there
                if not lab.exec(node.name, ["test", "-f", path], check=False).exit_code:
                    line = f"{edit.path} of {node.name} names {path}, which is gone after a restart"
                    return Outcome("does-not-run", (line, "keep it below /etc"))
    return None


def _in_memory(file: File) -> list[str]:
    return IN_MEMORY.findall(file.read_bytes().decode(errors="replace"))


def _beside(
    before: Fingerprint, after: Fingerprint, came: Iterable[tuple[str, str]]
) -> Outcome | None:
    """Say what stands open beside the task, by the state with which the machines came up.

    Files that people may read or change since are no part of any task; it happens on the way.
    """
    for section, word in came:
        if found := newcomers(before, after, section, word):
            return found
    if lines := opened_files(before, after):
        return Outcome("opened", (OPENED, *lines[:4]))
    return None


def _readable_keys(lab: EditedLab, now: Fingerprint) -> Outcome | None:
    """Say whether people may read a kubeconfig in which somebody put a private key."""
    lines = [
        f"{path} of {machine} has a private key in it, and can be read by the users of the machine"
        for machine, path in lab.with_keys
        if readable(now, machine, path)
    ]
    return Outcome("opened", (OPENED, *lines)) if lines else None


def newcomers(
    before: Fingerprint, after: Fingerprint, section: str, word: str = ""
) -> Outcome | None:
    """Say whether something runs or listens that did not when the lab came up.

    Parameters
    ----------
    before, after : dict
        Fingerprints of the machines.
    section : {"listeners", "processes"}
    word : str
        Only what has it in its name counts.

    Returns
    -------
    Outcome or None
        None if nothing has come.
    """
    changes = (it for it in differences(before, after) if it.section == section)
    lines = [f"{it.place}: {it.item} ({it.now})" for it in changes if it.now and word in it.item]
    return Outcome("moved", ("this was not there when the lab came up:", *lines)) if lines else None


def _readers(node: Node, path: str) -> list[str]:
    """Return the units of a machine that read a file when they start."""
    folder, name = posixpath.split(path)
    if folder == UNITS:
        return [name]
    if posixpath.dirname(folder) == UNITS:
        return [posixpath.basename(folder).removesuffix(".d")]
    own = [it for it in node.files if it.startswith(f"{UNITS}/")]
    return [posixpath.basename(it) for it in own if path in _read_by(node, it)]


def _read_by(node: Node, unit: str) -> set[str]:
    """Return the files that a unit reads when it starts: it names them, or one of them does."""
    found, rest = {unit}, [unit]
    while rest:
        text = node.files[rest.pop()].read_bytes().decode(errors="replace")
        again = {it for it in node.files if any(f"{flag}={it}" in text for flag in READ_AGAIN)}
        named = {it for it in node.files if it in text} - again - found
        found |= named
        rest += sorted(named)
    return found


def unread(lab: EditedLab, machine: str, unit: str, path: str) -> Outcome | None:
    """Say whether a file is younger than the unit that reads it when it starts.

    It is for a file that the unit does not name: the other ones :func:`hardened_state` asks about.

    Parameters
    ----------
    lab : EditedLab
    machine, unit, path : str

    Returns
    -------
    Outcome or None
        None if the unit has started since.
    """
    show = "--property=ActiveState,ExecMainStartTimestamp,NeedDaemonReload"
    # a file that is moved there keeps the time of its content
    changed = lab.exec(machine, ["stat", "--format=%Z", path]).text
    shown = lab.exec(machine, ["systemctl", "show", show, "--timestamp=unix", unit]).text
    said = dict(line.split("=", 1) for line in shown.splitlines())
    started = int(said["ExecMainStartTimestamp"].removeprefix("@") or 0)
    late = int(changed) > started or said["NeedDaemonReload"] == "yes"
    # a unit that does not run reads it when it starts
    if not late or said["ActiveState"] == "inactive":
        return None
    line = f"{unit} of {machine} has not read {path} since it was changed"
    return Outcome("not-restarted", (line, f"systemctl restart {unit}"))


def edited_beside(lab: EditedLab, *paths: str) -> Outcome | None:
    """Say whether a file was edited that the task leaves alone: another cloud, other accounts.

    Parameters
    ----------
    lab : EditedLab
        Its environment was read before.
    *paths : str
        The files' paths on their machines.

    Returns
    -------
    Outcome or None
        None if all of them are as when the lab came up.
    """
    for edit in lab.by_hand:
        if edit.path in paths:
            line = f"{edit.path} was edited as well: put it back"
            return Outcome("other-file", (line, *ways_back(lab, edit.role)))
    return None


def ways_back(lab: EditedLab, role: str) -> tuple[str, ...]:
    """Name the commands that take back what was edited on the machines of a role.

    Parameters
    ----------
    lab : EditedLab
    role : str

    Returns
    -------
    tuple of str
        A line for each machine, and what else is taken back.
    """
    names = [node.name for node in lab.environment.nodes if node.role == role]
    return tuple(f"%lab reset {lab.mode} {name}    # every edit of {name}" for name in names)


def _kept(
    lab: EditedLab, model: Model, keep: Iterable[str], demand: Mapping[str, str]
) -> Outcome | None:
    """Verify the channels of the legitimate clients; return None if they work."""
    chosen = []
    for pattern in keep:
        found = model.open_channels(pattern)
        if not found:
            return Outcome("client-gone", (f"no legitimate client is left: {pattern}",))
        for channel in found:
            for name, wanted in demand.items():
                value = getattr(channel, name).value
                if value != wanted:
                    return Outcome("weak", (f"{channel.id}: {name} is {value}",))
        chosen += [channel.id for channel in found]
    report = verify(lab, model, only=chosen)
    wrong = [*report.disagree, *report.unprobed]
    if not wrong:
        return None
    lines = tuple(f"{row.channel}: {row.property}: {row.reason}" for row in wrong[:4])
    return Outcome("client-broken", ("a legitimate client does not work as its files say:", *lines))


def predictions(
    model: Model, names: Iterable[str], foothold: Foothold | None = None
) -> dict[str, str]:
    """Return what a model predicts for techniques.

    Parameters
    ----------
    model : Model
    names : iterable of str
        Names of techniques.
    foothold : Foothold, optional
        By default the first one of each technique.

    Returns
    -------
    dict of str to str
        "succeeded", "refused" or "unknown", by the technique's name.

    Examples
    --------
    >>> from labkit import load_model
    >>> predictions(load_model("hardened"), ["etcd-read", "docker-client-certificate"])
    {'etcd-read': 'refused', 'docker-client-certificate': 'succeeded'}
    """
    found = {}
    for name in names:
        technique = techniques[name]
        found[name] = technique.predict(model, foothold or technique.footholds[0]).word
    return found


def sets_of_names(answer: object) -> object:
    """Return a participant's mapping with its lists and tuples of names as sets.

    Parameters
    ----------
    answer : object

    Returns
    -------
    object
        The answer itself if it is no mapping.

    Examples
    --------
    >>> sets_of_names({"insecure": ["etcd-read"]})
    {'insecure': {'etcd-read'}}
    """
    if not isinstance(answer, Mapping):
        return answer
    kinds = (list, tuple, set, frozenset)
    return {
        key: {str(name) for name in names} if isinstance(names, kinds) else names
        for key, names in answer.items()
    }


@dataclass(frozen=True, slots=True)
class Mistake:
    """A wrong idea, recognised by the answers to which it leads.

    Parameters
    ----------
    state : str
        The state of the outcome; hints are chosen by it.
    line : str
        What is wrong with the idea. It does not give the right answer.
    answers : mapping of str to object
        The wrong answers, by the name of the question.
    """

    state: str
    line: str
    answers: Mapping[str, object]


def form(names: Iterable[str], answer: object) -> Outcome | None:
    """Check that an answer is a mapping with a value for each question, and with no other.

    Parameters
    ----------
    names : iterable of str
        The names of the questions.
    answer : object
        The participant's answer, or None.

    Returns
    -------
    Outcome or None
        None if the form is right.

    Examples
    --------
    >>> form(["a", "b"], {"a": "refused"})
    not yet: no answer for b
    """
    asked = tuple(names)
    if not isinstance(answer, Mapping):
        lines = ("there is no answer: give a dict with a value for each of", *asked)
        return Outcome("no-answer", lines)
    if missing := [name for name in asked if name not in answer]:
        return Outcome("incomplete", (f"no answer for {', '.join(missing)}",))
    if others := [str(name) for name in answer if name not in asked]:
        return Outcome("other-names", (f"not asked: {', '.join(others)}",))
    return None


def compare(
    expected: Mapping[str, object], answer: object, mistakes: Sequence[Mistake] = ()
) -> Outcome:
    """Compare a participant's prediction with that of the model.

    Parameters
    ----------
    expected : mapping of str to object
        What the model says, by the name of the question.
    answer : object
        The participant's mapping, or None.
    mistakes : sequence of Mistake
        The first one whose answers are all given is named.

    Returns
    -------
    Outcome
        It gives the number of right answers, and does not name the wrong ones.

    Examples
    --------
    >>> compare({"a": "refused", "b": "succeeded"}, {"a": "refused", "b": "refused"})
    not yet: 1 of 2 is as the model says
    """
    if wrong := form(expected, answer):
        return wrong
    given = answer if isinstance(answer, Mapping) else {}
    right = sum(given[name] == value for name, value in expected.items())
    if right == len(expected):
        return Outcome(SOLVED, (_right(right, len(expected)),))
    for it in mistakes:
        if all(given[name] == value for name, value in it.answers.items()):
            return Outcome(it.state, (_right(right, len(expected)), it.line))
    if misspelt := _misspelt(given.values()):
        return Outcome("other-names", (_right(right, len(expected)), *misspelt))
    wrong_part = next(name for name, value in expected.items() if given[name] != value)
    return Outcome("wrong-answer", (_right(right, len(expected)),), wrong_part)


def _misspelt(values: Iterable[object]) -> list[str]:
    """Return a line for each word that is nearly a technique, a control or a verdict."""
    known = (*techniques, *controls, *WORDS)
    words = [
        it for value in values for it in ([value] if isinstance(value, str) else _names_in(value))
    ]
    found = []
    for word in dict.fromkeys(words):
        near = () if word in known else get_close_matches(word, known, 1, CLOSE)
        found += [f"no such name: {word}; there is {it}" for it in near]
    return found


def _names_in(value: object) -> list[str]:
    if not isinstance(value, (set, frozenset, list, tuple)):
        return []
    return sorted(it for it in value if isinstance(it, str))


def tally(found: Mapping[str, str], sentences: Mapping[str, str]) -> Outcome:
    """Return the outcome of an answer of which each part was judged alone.

    Parameters
    ----------
    found : mapping of str to str
        The state of each part, by the name of its question; "solved" if it is right.
    sentences : mapping of str to str
        What each other state means, the most important first.

    Returns
    -------
    Outcome
        Its state is the first of `sentences` that was found. It counts, and names no part.

    Examples
    --------
    >>> tally({"a": "solved", "b": "alone"}, {"alone": "one of the two suffices"})
    not yet: 1 of 2 is as the model says
      1 answer: one of the two suffices
    """
    counts = Counter(found.values())
    first = _right(counts[SOLVED], len(found))
    states = [state for state in sentences if counts[state]]
    lines = [
        f"{counts[it]} {'answer' if counts[it] == 1 else 'answers'}: {sentences[it]}"
        for it in states
    ]
    if not states:
        return Outcome(SOLVED, (first,))
    part = next(name for name, state in found.items() if state == states[0])
    return Outcome(states[0], (first, *lines), part)


def smallest_set(
    answer: object,
    names: Iterable[str],
    missing: Callable[[frozenset[str]], str],
    fewest: Callable[[], int],
) -> Outcome:
    """Check a set of names that together must have an effect, with as few names as possible.

    Any such set is right, if several are.

    Parameters
    ----------
    answer : object
        The participant's set, list or tuple of names, or None.
    names : iterable of str
        The names from which to choose.
    missing : callable
        Takes the chosen names; returns "" if they have the effect, or says what is missing.
    fewest : callable
        Returns the size of a smallest set. It is called only for a set that has the effect.

    Returns
    -------
    Outcome

    Examples
    --------
    >>> def missing(chosen):
    ...     return "" if "a" in chosen else "a path is left"
    >>> smallest_set({"b"}, "abc", missing, lambda: 1)
    not yet: a path is left
    >>> smallest_set({"a", "b"}, "abc", missing, lambda: 1)
    not yet: these 2 are enough, and fewer are as well
    """
    if not isinstance(answer, (set, frozenset, list, tuple)):
        return Outcome("no-answer", ("there is no answer: give a set of names",))
    chosen = frozenset(str(name) for name in answer)
    if others := sorted(chosen - set(names)):
        known = [it for it in others if it in controls or it in techniques]
        line = f"does not apply here: {known[0]}" if known else f"no such name: {others[0]}"
        return Outcome("other-names", (line,))
    if open_ := missing(chosen):
        return Outcome("not-enough", (open_,))
    if len(chosen) > fewest():
        return Outcome("too-many", (f"these {len(chosen)} are enough, and fewer are as well",))
    return Outcome(SOLVED, (f"these {len(chosen)} are enough, and fewer are not",))


def fewest_of(names: Iterable[str], missing: Callable[[frozenset[str]], str]) -> int:
    """Return the size of a smallest set of names that has an effect.

    Parameters
    ----------
    names : iterable of str
        All of them together must have the effect.
    missing : callable
        As :func:`smallest_set` takes it; more names never have less of the effect.

    Returns
    -------
    int

    Examples
    --------
    >>> fewest_of("abc", lambda chosen: "" if {"a", "c"} <= chosen else "not yet")
    2
    """
    found = smallest(frozenset(names), lambda chosen: not missing(chosen))
    if found is None:
        raise ValueError("all names together do not have the effect")
    return len(found)


def _right(right: int, asked: int) -> str:
    if right == asked:
        return f"all {right} are as the model says"
    return f"{right} of {asked} {'is' if right == 1 else 'are'} as the model says"
