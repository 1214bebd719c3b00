"""What the numbers of CWE and ATT&CK stand for."""

from __future__ import annotations

__all__ = ["CWE", "TECHNIQUES", "named"]

CWE = {
    "CWE-250": "Execution with Unnecessary Privileges",
    "CWE-269": "Improper Privilege Management",
    "CWE-284": "Improper Access Control",
    "CWE-295": "Improper Certificate Validation",
    "CWE-306": "Missing Authentication for Critical Function",
    "CWE-312": "Cleartext Storage of Sensitive Information",
    "CWE-319": "Cleartext Transmission of Sensitive Information",
    "CWE-326": "Inadequate Encryption Strength",
    "CWE-345": "Insufficient Verification of Data Authenticity",
    "CWE-732": "Incorrect Permission Assignment for Critical Resource",
    "CWE-757": "Selection of Less-Secure Algorithm During Negotiation ('Algorithm Downgrade')",
    "CWE-778": "Insufficient Logging",
    "CWE-862": "Missing Authorization",
    "CWE-863": "Incorrect Authorization",
}
TECHNIQUES = {
    "T1005": "Data from Local System",
    "T1040": "Network Sniffing",
    "T1078": "Valid Accounts",
    "T1098": "Account Manipulation",
    "T1098.006": "Account Manipulation: Additional Container Cluster Roles",
    "T1133": "External Remote Services",
    "T1190": "Exploit Public-Facing Application",
    "T1528": "Steal Application Access Token",
    "T1552.001": "Unsecured Credentials: Credentials In Files",
    "T1552.004": "Unsecured Credentials: Private Keys",
    "T1552.007": "Unsecured Credentials: Container API",
    "T1557": "Adversary-in-the-Middle",
    "T1557.002": "Adversary-in-the-Middle: ARP Cache Poisoning",
    "T1562.001": "Impair Defenses: Disable or Modify Tools",
    "T1562.008": "Impair Defenses: Disable or Modify Cloud Logs",
    "T1565.001": "Stored Data Manipulation",
    "T1572": "Protocol Tunneling",
    "T1609": "Container Administration Command",
    "T1610": "Deploy Container",
    "T1611": "Escape to Host",
    "T1649": "Steal or Forge Authentication Certificates",
}


def named(number: str) -> str:
    """Return a number with what it stands for, where that is known.

    Examples
    --------
    >>> named("CWE-306"), named("CWE-1")
    ('CWE-306 Missing Authentication for Critical Function', 'CWE-1')
    """
    return f"{number} {CWE.get(number) or TECHNIQUES.get(number, '')}".rstrip()
