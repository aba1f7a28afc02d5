# SPDX-License-Identifier: MIT
"""What the real Foundry Local answers, in process and offline: run by
convert_acceptance_test.py in an environment of its own.

usage: foundry_answers.py TOKENS PROMPTS.json FOLDER ...
Prints one JSON list of answers for each folder. Needs foundry-local-sdk 2.2.1.
"""
import json
import os
import pathlib
import sys
import tempfile

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import foundry_local_sdk as sdk  # noqa: E402


def answer(session, prompt):
    with sdk.Request().add_item(sdk.MessageItem.user(prompt)) as request:
        with session.process_request(request) as response:
            return "".join(part.text for item in response
                           if isinstance(item, sdk.MessageItem)
                           for part in item.parts
                           if isinstance(part, sdk.TextItem))


def answers(catalog, folder, prompts, options):
    # The name that inference_model.json gives, as Foundry Local's own commands
    # take it.
    entry = json.loads((folder / "inference_model.json").read_text())
    info = sdk.ModelInfoBuilder().set_string_property("task",
                                                      "chat-completion")
    model = catalog.register_model(str(folder), entry["Name"] + ":1", info)
    model.load()
    all_answers = []
    for prompt in prompts:
        with sdk.ChatSession(model) as session:  # without the turns before
            session.set_options(options)
            all_answers.append(answer(session, prompt))
    model.unload()
    return all_answers


def main():
    tokens, prompts = int(sys.argv[1]), json.loads(
        pathlib.Path(sys.argv[2]).read_text())
    options = sdk.RequestOptions(search=sdk.SearchOptions(
        temperature=0.0, max_output_tokens=tokens))
    with tempfile.TemporaryDirectory() as root:
        # The catalogue's address leads nowhere: a local folder needs none.
        sdk.FoundryLocalManager.initialize(sdk.Configuration(
            app_name="slm-test", app_data_dir=root,
            model_cache_dir=root + "/cache", logs_dir=root + "/logs",
            catalog_urls=[("http://127.0.0.1:9/models", None)],
            disable_nonessential_telemetry=True))
        with sdk.FoundryLocalManager.instance as manager:
            catalog = manager.get_catalog(sdk.CatalogType.LOCAL)
            for folder in map(pathlib.Path, sys.argv[3:]):
                print(json.dumps(answers(catalog, folder.resolve(), prompts,
                                         options)), flush=True)


main()
