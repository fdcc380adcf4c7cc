"""The systemd unit that runs a host: hardened, watched, and ordered behind the clock.

Its directives are explained in systemd.exec(5), systemd.service(5) and systemd.resource-control(5).
``systemd-analyze security --offline=true`` gives it an exposure of 1.5 or less.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["UNIT_NAME", "Unit"]

UNIT_NAME = "alicia-scheduler.service"

STATE_ROOT = Path("/var/lib")

HOMES = (Path("/home"), Path("/root"), Path("/run/user"))

WATCHDOG = 60
"""Seconds within which the scheduling loop must have made a pass. A memory card that is busy with
itself may stop the loop for half of that."""

MARGIN = 30
"""Seconds beyond ``drain_timeout`` that a stop may take before everything is killed."""

CONFINED = """\
UMask=0077
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProcSubset=pid
RemoveIPC=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
"""

CONFINED_AS_SYSTEM = """\
PrivateUsers=yes
DevicePolicy=closed
IPAddressDeny=any
IPAddressAllow=localhost link-local multicast 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7
"""
"""What only the system's manager can do. Add the addresses of a broker elsewhere by a drop-in."""

BOUNDED = """\
MemoryHigh=256M
MemoryMax=512M
TasksMax=256
LimitNOFILE=4096
"""


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A unit to be written.

    Attributes:
        program: the ``alicia`` program.
        config: the configuration file.
        state_dir: the host's directory, absolute.
        user: who runs it; None for a unit of the user's own manager.
        drain_timeout: seconds that running executions get when the host stops.
    """

    program: Path
    config: Path
    state_dir: Path
    user: str | None
    drain_timeout: float

    @property
    def makes_state_directory(self) -> bool:
        """Whether systemd makes the state directory, with its owner; else it must be there."""
        inside = self.state_dir.is_relative_to(STATE_ROOT) and self.state_dir != STATE_ROOT
        return self.user is not None and inside

    def text(self) -> str:
        """The unit file."""
        target = "multi-user.target" if self.user else "default.target"
        return "\n".join(
            [
                "# Written by `alicia service install`. Change it by a drop-in: systemctl edit",
                "[Unit]",
                "Description=Alicia Scheduler",
                # Ordering only: without network or time the host starts all the same, and waits
                # for each where it needs it.
                "Wants=network-online.target time-sync.target",
                "After=network-online.target time-sync.target",
                "StartLimitIntervalSec=300",
                "StartLimitBurst=10",
                "",
                "[Service]",
                "Type=notify",
                f"ExecStart={_quoted(self.program)} run {_quoted(self.config)}",
                f"ExecReload={_quoted(self.program)} reload --state-dir {_quoted(self.state_dir)}",
                "Restart=on-failure",
                "RestartSec=2",
                f"WatchdogSec={WATCHDOG}",
                f"TimeoutStopSec={self.drain_timeout + MARGIN:g}",
                "KillMode=mixed",
                "Environment=PYTHONUNBUFFERED=1",
                *self._place(),
                *CONFINED.splitlines(),
                *(CONFINED_AS_SYSTEM.splitlines() if self.user else ()),
                *BOUNDED.splitlines(),
                "",
                "[Install]",
                f"WantedBy={target}",
                "",
            ]
        )

    def _place(self) -> list[str]:
        """Who runs it, and the only directory it may write to."""
        lines = [f"User={self.user}"] if self.user else []
        inside = [path for path in (self.program, self.config, self.state_dir) if _in_a_home(path)]
        lines.append(f"ProtectHome={'read-only' if inside else 'yes'}")
        if self.makes_state_directory:
            lines.append(f"StateDirectory={_quoted(self.state_dir.relative_to(STATE_ROOT))}")
            lines.append("StateDirectoryMode=0700")
        else:
            lines.append(f"ReadWritePaths={_quoted(self.state_dir)}")
        return lines


def _in_a_home(path: Path) -> bool:
    return any(path.is_relative_to(home) for home in HOMES)


def _quoted(path: Path) -> str:
    """A path as systemd reads it: ``%`` begins a specifier, ``$`` a variable, spaces part words."""
    text = str(path).replace("\\", "\\\\").replace("%", "%%").replace("$", "$$")
    escaped = text.replace('"', '\\"')
    return f'"{escaped}"' if any(each in text for each in " \t'\"") else escaped
