#!/usr/bin/env python3
"""Answers `!echo TEXT` in rooms, and every private message, for a peer that runs: bot.py peer --share ./bot"""
import json
import subprocess
import sys

peer = sys.argv[1:]


def run(command):
    subprocess.run([*peer, "-e", command.replace("\n", " ")], stdout=subprocess.DEVNULL, check=False)


with subprocess.Popen([*peer, "--json", "-e", "watch"], stdout=subprocess.PIPE, text=True) as watch:
    for line in watch.stdout:
        event = json.loads(line)
        if event.get("event") == "message" and not event.get("own") and event["text"].startswith("!echo "):
            run(f"say #{event['room']} {event['from']}: {event['text'][6:]}")
        elif event.get("event") == "private":
            run(f"msg {event['from']} you said: {event['text']}")
        elif event.get("event") == "watching":
            print("the bot listens", flush=True)
