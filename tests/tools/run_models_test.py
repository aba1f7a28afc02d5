#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Models by name and the verbs of Foundry Local's command line; the tutorial's
own lines are in tutorial_test.py.

usage: run_models_test.py SLM_RUN tests/data/tiny-model SLM_CONVERT SLM_BENCH
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from pty_program import Program  # noqa: E402

RUN, MODEL, CONVERT, BENCH = (os.path.abspath(p) for p in sys.argv[1:5])
# As in the tutorial.
INFERENCE_MODEL = """{"Name": "%s", "Description": "...", "Version": "1.0",
 "PromptTemplate": {"system": "<|im_start|>system\\n{Content}<|im_end|>",
                    "user": "<|im_start|>user\\n{Content}<|im_end|>",
                    "assistant": "<|im_start|>assistant\\n{Content}<|im_end|>",
                    "prompt": "<|im_start|>user\\n{Content}<|im_end|>\\n<|im_start|>assistant"},
 "ModelConfig": {"max_length": 2048, "temperature": 0.7, "top_p": 0.9, "repetition_penalty": 1.1}}
"""


class Models(unittest.TestCase):
    def setUp(self):
        home = tempfile.TemporaryDirectory()
        self.addCleanup(home.cleanup)
        self.home = pathlib.Path(home.name).resolve()
        self.work = self.home / "work"
        self.work.mkdir()
        self.env = {k: v for k, v in os.environ.items()
                    if not k.startswith(("SLM_", "XDG_"))}
        self.env.update(HOME=str(self.home), TERM="xterm")

    def run_slm(self, *args, stdin="", code=0):
        done = subprocess.run([RUN, *args], input=stdin, env=self.env,
                              cwd=self.work, capture_output=True,
                              encoding="utf-8", timeout=60)
        self.assertEqual(done.returncode, code, done.stderr)
        return done

    def add(self, folder, name=None, without=()):
        """A model folder with an inference_model.json of that name."""
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True)
        for file in os.listdir(MODEL):
            if file not in without:
                shutil.copy(os.path.join(MODEL, file), folder / file)
        if name:
            (folder / "inference_model.json").write_text(INFERENCE_MODEL % name)
        return folder

    def listed(self):
        return json.loads(self.run_slm("list", "-o", "json").stdout)

    def test_names_versions_aliases_and_folders(self):
        cache = self.home / ".foundry/cache/models"
        self.add(cache / "Microsoft/phi-cpu-3/v3", "phi-cpu:3")
        self.add(cache / "Microsoft/phi-cpu-10/v10", "phi-cpu:10")
        self.add(cache / "plain")
        self.add(cache / "half", "half", without=["model.onnx"])
        self.add(cache / "loading", "loading")
        (cache / "loading/download.tmp").touch()
        (cache / "foundry.modelinfo.json").write_text(
            json.dumps({"models": [{"id": "phi-cpu:3", "alias": "phi"},
                                   {"id": "phi-cpu:10", "alias": "phi"}, 7]}))
        self.assertEqual([m["id"] for m in self.listed()],
                         ["half:0", "phi-cpu:10", "phi-cpu:3", "plain:0"])
        for name, folder in (("phi-cpu", "v10"), ("phi-cpu:3", "v3"),
                             ("phi", "v10"), ("PHI", "v10"), ("plain", "plain"),
                             ("phi-cpu-3", "v3"), ("plain:0", "plain")):
            with self.subTest(name):
                done = self.run_slm(name, "hi", "-v", "--temp", "0", "-n", "1")
                self.assertRegex(done.stderr, f"(?m)^model: .*/{folder}$")
        done = self.run_slm("half", "hi", code=3)
        self.assertIn("lacks model.onnx", done.stderr)
        self.assertIn("download.tmp", self.run_slm("list").stderr)
        done = self.run_slm("loading", "hi", code=3)
        self.assertIn("known: ", done.stderr)
        self.run_slm("phi-cpu:4", "hi", code=3)

    def test_where_names_are_looked_up_first(self):
        places = {"flag": self.home / "a", "env": self.home / "b",
                  "cd": self.home / "c",
                  "foundry": self.home / ".foundry/cache/models",
                  "here": self.work / "models"}
        for place in places.values():
            self.add(place / "deep/er", "m")
        self.env["SLM_MODELS"] = f"/no/such:{places['env']}"
        self.run_slm("cache", "cd", str(places["cd"]))

        def chosen(*args):
            err = self.run_slm(*args, "m", "hi", "-v", "-n", "1").stderr
            return next(line for line in err.splitlines()
                        if line.startswith("model: "))
        order = ["env", "cd", "foundry", "here"]
        self.assertIn(str(places["flag"]),
                      chosen("--models-dir", str(places["flag"])))
        for key in order:
            self.assertIn(str(places[key]), chosen())
            shutil.rmtree(places[key])
        self.run_slm("m", "hi", code=3)

    def test_the_other_programs_take_the_same_names(self):
        self.add(self.work / "models/a/b", "mine")
        for command in ([CONVERT, "check", "mine"],
                        [BENCH, "mine", "-p", "8", "-n", "2", "-r", "1"]):
            with self.subTest(command[0]):
                done = subprocess.run(command, env=self.env, cwd=self.work,
                                      capture_output=True, encoding="utf-8",
                                      timeout=300)
                self.assertEqual(done.returncode, 0, done.stderr)
                command[command.index("mine")] = "nobodys"
                done = subprocess.run(command, env=self.env, cwd=self.work,
                                      capture_output=True, encoding="utf-8",
                                      timeout=60)
                self.assertEqual(done.returncode, 3, done.stderr)
                self.assertIn("known: mine", done.stderr)

    def test_two_of_one_name_are_refused(self):
        self.add(self.work / "models/a", "same")
        self.add(self.work / "models/b", "same")
        done = self.run_slm("same", "hi", code=2)
        self.assertIn("models/a", done.stderr)
        self.assertIn("models/b", done.stderr)
        self.run_slm("models/a", "hi", "-n", "1")

    def test_a_verb_is_a_verb_but_for_paths_and_after_dashes(self):
        self.add(self.work / "list")
        self.assertIn("[", self.run_slm("list", "-o", "json").stdout)
        # The model has a temperature: one word is enough.
        for args in (["./list", "hi"], ["--", "list", "hi"],
                     ["-m", "list", "hi"], ["-n", "1", "run", "./list", "hi"]):
            with self.subTest(args):
                out = self.run_slm("-n", "1", *args).stdout
                self.assertEqual(out, "Hello\n")
        self.assertIn("usage: slm-run list", self.run_slm(
            "list", "all", code=2).stderr)
        self.assertIn("ls", self.run_slm("cache", "dance", code=2).stderr)
        self.assertIn("ls", self.run_slm("cache", code=2).stderr)
        self.assertIn("--temp means nothing",
                      self.run_slm("list", "--temp", "1", code=2).stderr)
        self.run_slm("-n", "1", "-y", "./list", "hi", code=2)

    def test_cache_location_and_cd(self):
        default = str(self.home / ".foundry/cache/models")
        self.assertEqual(self.run_slm("cache", "location").stdout,
                         default + "\n")
        self.assertEqual(
            json.loads(self.run_slm("cache", "location", "-o", "json").stdout),
            {"path": default, "userSet": False})
        self.assertIn("no such folder yet",
                      self.run_slm("cache", "cd", "not/there").stderr)
        self.assertEqual(
            json.loads(self.run_slm("cache", "location", "-o", "json").stdout),
            {"path": str(self.work / "not/there"), "userSet": True})
        self.env["XDG_CONFIG_HOME"] = str(self.home / "other")
        self.assertEqual(self.run_slm("cache", "location").stdout,
                         default + "\n")

    def test_cache_rm_removes_one_model_and_nothing_else(self):
        folder = self.add(self.work / "models/custom/gone", "gone")
        stays = self.add(self.work / "models/custom/stays", "stays")
        outside = self.add(self.home / "outside", "outside")
        (self.work / "models/link").symlink_to(outside)
        self.assertIn("--yes", self.run_slm("cache", "rm", "gone",
                                            code=2).stderr)
        self.assertTrue(folder.exists())
        self.assertIn("outside of", self.run_slm("cache", "rm", "outside", "-y",
                                                 code=2).stderr)
        for name in (".", "..", "/", "models", "custom", str(stays), "../gone"):
            self.run_slm("cache", "rm", name, "--yes", code=3)
        self.run_slm("cache", "rm", "gone", "--yes")
        self.assertFalse(folder.exists())
        self.assertTrue(stays.exists() and outside.exists())
        with Program(RUN, "cache", "rm", "stays", env=self.env,
                     cwd=str(self.work)) as program:
            program.expect("[y/N]")
            program.send("n\n")
            self.assertEqual(program.exit_code(), 1)
        self.assertTrue(stays.exists())

    def test_info_and_doctor(self):
        self.add(self.work / "models/one", "one")
        self.add(self.work / "models/two", "two", without=["tokenizer.json"])
        for args in (["info", "one"], ["model", "info", "one"]):
            out = self.run_slm(*args).stdout
            self.assertIn("qwen2", out)
            self.assertIn("KV cache", out)
        out = self.run_slm("doctor").stdout
        for word in ("CPU", "SIMD", "cores", "memory", "2, of which 1 lack",
                     "lacks tokenizer.json"):
            self.assertIn(word, out)
        self.assertIn("KV cache", self.run_slm("doctor", "one").stdout)
        self.run_slm("doctor", "two", code=3)
        self.run_slm("info", "three", code=3)

    def test_hostile_folders(self):
        models = self.work / "models"
        self.add(models / "good", "good")
        (models / "loop").symlink_to(models)
        (models / "self").symlink_to("self")
        deep = models
        for _ in range(30):
            deep = deep / "d"
        deep.mkdir(parents=True)
        for i in range(300):
            (models / f"wide{i}").mkdir()
        closed = models / "closed"
        closed.mkdir(mode=0)
        bad = models / "bad"
        bad.mkdir()
        (bad / "inference_model.json").write_text("[" * 100000)
        evil = models / "evil"
        evil.mkdir()
        (evil / "genai_config.json").write_text(json.dumps(
            {"model": {"decoder": {"filename": "../good/model.onnx"}}}))
        (evil / "inference_model.json").write_text(
            '{"Name": "../../\\u001b[31m\\nx"}')
        out = self.run_slm("list")
        closed.chmod(0o700)
        self.assertNotIn("\x1b", out.stdout + out.stderr)
        self.assertIn("levels deep", out.stderr)
        names = [m["name"] for m in self.listed()]
        self.assertEqual(names.count("good"), 1)
        self.assertIn("bad", names)
        self.run_slm("good", "hi", "-n", "1")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[5:])
