"""What a container runs: the job's program itself, or a small shell script around it (``pod`` → here).

The shell is between where something must be done that the cluster cannot do:

- a script (``run``) becomes a file, so that its ``#!`` line counts and the shell's own messages name lines of it. It
  comes as arguments, in pieces, since the kernel takes none longer than 128 KiB; a file from the cluster would be one
  object more for every job;
- the stop signal is another than SIGTERM, which is all that a kubelet sends (``stopSignal`` of a container is not
  allowed everywhere yet). It goes to every process of the container, as the kernel's ``kill -1`` has it for the first;
- after the grace what is left is killed by the shell, while the outputs still have their time to be collected;
- the task of a bundle's index, or the rank of a later role's pod, must be worked out.

All others, a plain ``command`` that ends by SIGTERM, run without it, so that an image without a shell can be used. Then
the pod shares its process namespace: as the first process of one a program would be deaf to every signal that it has no
handler for, SIGTERM among them. An image without ``/bin/sh`` cannot have any of the above: its container does not start,
and says so. The exit code is passed on; a program that a signal ended leaves 128 and the signal's number, as in any shell.

SIGINT and SIGQUIT are ignored by what a shell starts in the background, unless ``env`` or the shell can undo it: where
neither can, SIGTERM goes instead, and a line in the log says so.
"""

from dataclasses import dataclass

from domain.jobs import JobSpec
from k8s import names
from k8s.manifests.part import Part

RUN = "/baray/run"  # where the script becomes a file
_PIECE = 24_000  # characters: at most 96 KB

# Its variables are called so that they are nobody's environment. ``$$`` is 1 where it is the container's first process.
# What shells say by themselves of a child that a signal ended goes nowhere: the job's log is the job's.
SHELL = r"""_baray_signal=$1 _baray_grace=$2 _baray_offset=$3 _baray_members=$4 _baray_skipped=$5 _baray_script=$6
_baray_pieces=$7 _baray_child= _baray_told= _baray_hit= _baray_code= _baray_reach=
shift 7
_baray_stop() {
  _baray_hit=1
  if [ -z "$_baray_child" ] || [ -n "$_baray_told" ]; then return; fi
  _baray_told=1
  kill -s "$_baray_signal" -- "${_baray_reach:-$_baray_child}" 2>/dev/null
  (sleep "$_baray_grace"; kill -s KILL -- "${_baray_reach:-$_baray_child}") >/dev/null 2>&1 &
}
trap _baray_stop TERM
if [ $$ -eq 1 ]; then _baray_reach=-1; fi
if [ -n "$_baray_members" ]; then
  case " $_baray_skipped " in *" $BARAY_INDEX "*)
    echo "[baray] This task was told to stop before it was started."
    exit 143 ;;
  esac
  _baray_left=$BARAY_INDEX
  for _baray_member in $_baray_members; do
    if [ "$_baray_left" -eq 0 ]; then break; fi
    _baray_left=$((_baray_left - 1))
  done
  BARAY_TASK=${_baray_member%.*} BARAY_ATTEMPT=${BARAY_JOB}_$_baray_member
  export BARAY_TASK BARAY_ATTEMPT
fi
if [ -n "$_baray_offset" ]; then
  BARAY_RANK=$((BARAY_INDEX + _baray_offset)) RANK=$((BARAY_INDEX + _baray_offset))
  export BARAY_RANK RANK
fi
if [ "$_baray_pieces" -gt 0 ]; then
  : >"$_baray_script" || exit 126
  while [ "$_baray_pieces" -gt 0 ]; do
    printf %s "$1" >>"$_baray_script" || exit 126
    shift
    _baray_pieces=$((_baray_pieces - 1))
  done
  chmod 0550 "$_baray_script"
  if [ $# -eq 0 ]; then
    set -- "$_baray_script"
  elif [ -x /bin/bash ]; then
    set -- /bin/bash "$_baray_script"
  else
    set -- /bin/sh "$_baray_script"
  fi
fi
case $_baray_signal in INT|QUIT)
  if env --default-signal="$_baray_signal" true 2>/dev/null; then
    set -- env --default-signal="$_baray_signal" "$@"
  else
    set -m 2>/dev/null
    case $- in *m*) ;; *)
      echo "[baray] The shell of this image cannot pass SIG$_baray_signal on: it will be stopped by SIGTERM."
      _baray_signal=TERM ;;
    esac
  fi ;;
esac
if [ -n "$_baray_hit" ]; then exit 143; fi
(exec "$@") &
_baray_child=$!
exec 2>/dev/null
if [ -n "$_baray_hit" ]; then _baray_stop; fi
while :; do
  _baray_hit=
  wait "$_baray_child"
  _baray_now=$?
  if [ "$_baray_now" -eq 127 ] && [ -n "$_baray_code" ]; then break; fi
  _baray_code=$_baray_now
  if [ -z "$_baray_hit" ]; then break; fi
done
exit "$_baray_code"
"""


@dataclass(frozen=True, slots=True)
class Words:
    """``command`` and ``args`` of a container. ``alone``: nothing of ours is between the kubelet and the program."""

    command: tuple[str, ...]
    args: tuple[str, ...]
    alone: bool


def words(spec: JobSpec, part: Part) -> Words:
    """What the container of this part runs, not yet protected from the cluster's expansion (see ``literal``)."""
    if _can_be_alone(spec, part):
        return Words(part.command[:1], part.command[1:], alone=True)
    pieces: tuple[str, ...] = ()
    rest = part.command
    if part.run is not None:
        pieces = tuple(part.run[start : start + _PIECE] for start in range(0, len(part.run), _PIECE))
        rest = () if part.run.startswith("#!") else ("shell",)
    args = (
        "baray",
        spec.stop_signal.removeprefix("SIG"),
        str(seconds(spec.grace_ms)),
        str(part.offset) if part.offset else "",
        names.write_members(member for member, _ in part.members),
        " ".join(str(index) for index in part.skipped),
        f"{RUN}/script",
        str(len(pieces)),
    )
    return Words(("/bin/sh", "-c", SHELL), (*args, *pieces, *rest), alone=False)


def _can_be_alone(spec: JobSpec, part: Part) -> bool:
    return bool(
        part.run is None and spec.stop_signal == "SIGTERM" and not spec.outputs and not part.members and not part.offset
    )


def literal(text: str) -> str:
    """The text such that a kubelet's expansion of ``$(NAME)`` and ``$$`` leaves it as it was."""
    return text.replace("$", "$$")


def seconds(ms: int) -> int:
    """Whole seconds, and never none: a grace of 0 would let a pod be gone before it is."""
    return max(1, -(-ms // 1_000))
