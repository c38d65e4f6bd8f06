#!/usr/bin/env python3
"""Both programs are built so that a memory fault is hard to use."""
import pathlib
import re
import subprocess
import sys

from espalier_process import case, main

BUILD = pathlib.Path(sys.argv[1])


def readelf(program, *options):
    path = BUILD / program / program
    return subprocess.run(["readelf", "--wide", *options, path], check=True, capture_output=True, text=True).stdout


for program in ("metaserver", "peer"):
    @case(f"{program} lies at a random address (PIE)")
    def _(_network, program=program):
        assert re.search(r"Type:\s+DYN", readelf(program, "--file-header"))
        assert re.search(r"FLAGS_1.*\bPIE\b", readelf(program, "--dynamic"))

    @case(f"{program}'s tables of functions are read-only once it runs (RELRO, BIND_NOW)")
    def _(_network, program=program):
        assert "GNU_RELRO" in readelf(program, "--program-headers")
        assert re.search(r"FLAGS_1.*\bNOW\b", readelf(program, "--dynamic"))

    @case(f"{program}'s stack cannot be executed, and is watched for overflows")
    def _(_network, program=program):
        stack = re.search(r"GNU_STACK.*", readelf(program, "--program-headers")).group()
        assert "RW " in stack and "RWE" not in stack, stack
        assert "__stack_chk_fail" in readelf(program, "--dyn-syms")

    @case(f"{program} calls the checked functions of the C library (FORTIFY)")
    def _(_network, program=program):
        assert re.search(r"__(read|recv|recvfrom|memcpy|memmove|memset|snprintf|vsnprintf|fdelt|poll|ppoll)_chk",
                         readelf(program, "--dyn-syms"))

main()
