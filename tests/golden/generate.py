#!/usr/bin/env python3
"""Writes every golden case anew: config.toml, counters.toml, records.toml, in-PORT.pcap and out-PORT.pcap.

Needs scapy (pip install scapy) and nothing of Sterna. The tests read the files only.
To add a case, add it to one of generator/cases_*.py and run this; or write the four files by hand.
"""

import sys

sys.dont_write_bytecode = True

from generator import cases_decap, cases_encap, cases_limits, cases_mobility, cases_neighbours  # noqa: E402, F401
from generator.world import Case  # noqa: E402

if __name__ == "__main__":
    for case in Case.all.values():
        case.write()
    print(f"{len(Case.all)} cases written")
