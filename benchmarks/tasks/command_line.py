"""The command line of the task contract, with the standard library only."""

import argparse
import json


def run(function):
    parser = argparse.ArgumentParser()
    parser.add_argument("--args-json", required=True)
    parser.add_argument("--out-json", required=True)
    options = parser.parse_args()
    with open(options.args_json) as file:
        args = json.load(file)
    output = function(**args)
    with open(options.out_json, "x") as file:
        json.dump(output, file)
