# SPDX-License-Identifier: MIT
"""An installation: its programs run, a C program finds and uses its library,
and the packages hold the same."""
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unittest

BUILD, SOURCE, CMAKE, C_COMPILER = sys.argv[1:5]
del sys.argv[1:5]
MODEL = os.path.join(SOURCE, "tests", "data", "tiny-model")
FILES = ("bin/slm-run", "bin/slm-convert", "bin/slm-bench", "bin/slm-inspect",
         "include/slm/slm.h", "include/slm/slm.hpp",
         "share/doc/slm/LICENSE", "share/doc/slm/README.md",
         "share/man/man1/slm-run.1", "share/man/man1/slm-convert.1",
         "share/man/man1/slm-bench.1", "share/man/man1/slm-inspect.1")


def run(*command, **options):
    return subprocess.run(command, check=True, capture_output=True, text=True,
                          **options).stdout


class InstallTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="slm-install-")
        self.addCleanup(shutil.rmtree, self.folder)

    def install(self):
        prefix = os.path.join(self.folder, "usr")
        run(CMAKE, "--install", BUILD, "--prefix", prefix, "--strip")
        return prefix

    def test_programs_run_where_they_were_put(self):
        prefix = self.install()
        for file in FILES:
            self.assertTrue(os.path.isfile(os.path.join(prefix, file)), file)
        answer = run(os.path.join(prefix, "bin", "slm-run"), MODEL, "hi")
        self.assertIn("tiny test model", answer)

    def test_man_pages_have_every_flag_and_no_faults(self):
        pages = {name[:-2]: os.path.join(BUILD, "man", name)
                 for name in os.listdir(os.path.join(BUILD, "man"))}
        self.assertLessEqual({"slm-run", "slm-convert", "slm-bench"},
                             set(pages))
        for program, page in pages.items():
            with open(page) as f:
                text = f.read().replace("\\", "")
            self.assertIn(f".SH NAME\n{program} -", text)
            known = subprocess.run(
                [os.path.join(BUILD, "bin", program), "--help-all"],
                capture_output=True, text=True).stdout or run(
                    os.path.join(BUILD, "bin", program), "--help")
            for flag in set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", known)):
                self.assertIn(flag, text, page)
            for command in (["mandoc", "-T", "lint", "-W", "warning", page],
                            ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8",
                             page]):
                if not shutil.which(command[0]):
                    print(f"no {command[0]} here: {program}.1 is not checked "
                          "by it")
                    continue
                done = subprocess.run(
                    command, capture_output=True, text=True,
                    env=dict(os.environ, LC_ALL="C.UTF-8", MANPAGER="cat"))
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                if command[0] == "mandoc":
                    self.assertEqual(done.stdout, "")

    def test_a_c_program_links_by_pkg_config(self):
        prefix = self.install()
        found = [os.path.join(at, "slm.pc")
                 for at, _, files in os.walk(prefix) if "slm.pc" in files]
        self.assertEqual(len(found), 1)
        flags = run("pkg-config", "--cflags", "--libs", found[0]).split()
        source = os.path.join(self.folder, "use.c")
        with open(source, "w") as f:
            f.write('#include <slm/slm.h>\n#include <stdio.h>\n'
                    'int main(int argc, char** argv) {\n'
                    '  slm_model_params params;\n'
                    '  slm_model* model = NULL;\n'
                    '  slm_error error;\n'
                    '  slm_model_params_init(&params);\n'
                    '  params.path = argv[argc - 1];\n'
                    '  if (slm_model_open(&params, &model, &error)) {\n'
                    '    fprintf(stderr, "%s\\n", error.message);\n'
                    '    return 1;\n'
                    '  }\n'
                    '  slm_model_free(model);\n'
                    '  puts(slm_version());\n'
                    '  return 0;\n}\n')
        program = os.path.join(self.folder, "use")
        run(C_COMPILER, "-std=c99", source, "-o", program, *flags)
        self.assertRegex(run(program, MODEL), r"^\d+\.\d+\.\d+\n$")

    def test_packages_hold_the_installation(self):
        run(os.path.join(os.path.dirname(CMAKE), "cpack"), "--config",
            os.path.join(BUILD, "CPackConfig.cmake"), "-B", self.folder)
        made = [f for f in os.listdir(self.folder)
                if f.endswith((".tar.gz", ".deb"))]
        self.assertEqual(len(made), 2, made)
        for name in made:
            path = os.path.join(self.folder, name)
            if name.endswith(".tar.gz"):
                with tarfile.open(path) as archive:
                    names = archive.getnames()
            else:
                names = run("dpkg-deb", "--contents", path).split()
            for file in FILES:
                self.assertTrue(any(n.endswith("/" + file) for n in names),
                                f"{file} in {name}")


if __name__ == "__main__":
    unittest.main()
