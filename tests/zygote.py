"""A process that forks `s10` commands: real ones, to be killed, without an import for each.

It has imported everything and computed nothing, so that no threads are lost
in a fork. It reads a JSON list of arguments a line, with the file for the
output first, and answers with the pid, then, when that has ended, with the same
pid and its exit status (negative: the signal). Its runs have tiny epochs; a
checkpoint is written after each all the same, as after those of real ones.
"""

import json
import os
import sys
import traceback

import torch

import s10.cli
import s10.pipeline
import s10.session

s10.session.SECONDS = 0

for line in sys.stdin:
    output, *arguments = json.loads(line)
    pid = os.fork()
    if pid == 0:
        file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, 1)
        os.dup2(file, 2)
        status = 99
        try:
            torch.set_num_threads(1)
            status = s10.cli.main(arguments)
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        os._exit(status)
    print(pid, flush=True)
    _, status = os.waitpid(pid, 0)
    print(pid, os.waitstatus_to_exitcode(status), flush=True)
