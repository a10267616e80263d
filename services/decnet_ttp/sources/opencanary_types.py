# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the numbers in OpenCanary's `logtype` mean."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class LogType:
    """One kind of event.

    Attributes:
        service: the service it is of.
        what: how `OpenCanarySource` handles it; `touch` tells only that the service was used.
        signal: what a session with such an event carries in `signals`; "" for nothing.
    """

    service: str
    what: str
    signal: str = ""


LOG_TYPES: Final = {
    2000: LogType("ftp", "auth"),
    2001: LogType("ftp", "touch"),
    3000: LogType("http", "request"),
    3001: LogType("http", "request"),
    3002: LogType("http", "request"),
    3003: LogType("http", "request"),
    4000: LogType("ssh", "touch"),
    4001: LogType("ssh", "version"),
    4002: LogType("ssh", "auth"),
    5000: LogType("smb", "file", "smb:file_open"),
    5001: LogType("portscan", "scan", "portscan:syn"),
    5002: LogType("portscan", "scan", "portscan:nmap_os"),
    5003: LogType("portscan", "scan", "portscan:nmap_null"),
    5004: LogType("portscan", "scan", "portscan:nmap_xmas"),
    5005: LogType("portscan", "scan", "portscan:nmap_fin"),
    6001: LogType("telnet", "auth"),
    6002: LogType("telnet", "touch"),
    7001: LogType("httpproxy", "auth"),
    8001: LogType("mysql", "auth"),
    9001: LogType("mssql", "auth"),
    9002: LogType("mssql", "auth"),
    9003: LogType("mysql", "touch"),
    10001: LogType("tftp", "transfer"),
    11001: LogType("ntp", "touch", "ntp:monlist"),
    12001: LogType("vnc", "auth"),
    13001: LogType("snmp", "auth"),
    14001: LogType("rdp", "auth"),
    15001: LogType("sip", "touch", "sip:request"),
    16001: LogType("git", "touch", "git:clone"),
    17001: LogType("redis", "command"),
    18001: LogType("tcpbanner", "touch"),
    18002: LogType("tcpbanner", "touch"),
    18003: LogType("tcpbanner", "touch"),
    18004: LogType("tcpbanner", "touch"),
    18005: LogType("tcpbanner", "touch"),
    19001: LogType("llmnr", "touch", "llmnr:response"),
    20001: LogType("mongodb", "mongodb"),
}
#: From here on the numbers are the honeypot's messages about itself.
OWN_MESSAGES: Final = range(1000, 2000)
HTTPS_PORTS: Final = frozenset({443, 8443})
