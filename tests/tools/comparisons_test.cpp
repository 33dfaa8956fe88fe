// The sum of the comparisons with other packages: with a Python that only pretends to compare, and
// the report that all scripts share.
#include <gmock/gmock.h>

#include <filesystem>
#include <map>

#include "heed_command.h"

namespace heed::tools {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class Comparisons : public CommandTest {
 protected:
  /// Runs tools/comparisons; what each script prints and exits with, the others agreeing once.
  Outcome compare(const std::map<std::string, std::string>& scripts,
                  const std::vector<std::string>& options = {}) const {
    std::string program = "#!/bin/sh\ncase $1 in\n";
    for (const auto& [name, work] : scripts) program += "*/" + name + ") " + work + " ;;\n";
    program += "*) echo '1 of 1 comparisons agree (made up)' ;;\nesac\n";
    write("python", program);
    std::filesystem::permissions(path("python"), std::filesystem::perms::owner_all);
    write("build/note", "");
    std::vector<std::string> command = {"/usr/bin/env", "HEED_PYTHON=" + path("python"),
                                        source_path("tools/comparisons"), "--build", path("build")};
    command.insert(command.end(), options.begin(), options.end());
    return run_program(command);
  }
  /// Runs Python with the module that the scripts share.
  Outcome python(const std::string& program) const {
    write("script.py", "import sys\nsys.path.insert(0, '" + source_path("tests/interop") +
                           "')\nfrom interop_common import *\n" + program);
    return run_program({"python3", path("script.py")});
  }
};

TEST_F(Comparisons, AreAddedUp) {
  const Outcome few = compare({{"torch_check.py", "echo '30 of 30 comparisons agree (a)'"}});
  EXPECT_EQ(few.status, 0) << few.err;
  EXPECT_THAT(few.out, HasSubstr("test: comparisons: 31 agree in 2 scripts, 0 skipped"));
  const Outcome all =
      compare({{"torch_check.py", "echo '30 of 30 comparisons agree (a)'"},
               {"hf_check.py", "echo 'skipped: no transformers'; exit 77"},
               {"onnx_check.py", "echo 'ok'; echo '500 of 500 comparisons agree (b)'"}},
              {"--all"});
  EXPECT_EQ(all.status, 0) << all.err;
  EXPECT_THAT(all.out, HasSubstr("test: skipped: no transformers"));
  EXPECT_THAT(all.out, HasSubstr("test: comparisons: 536 agree in 8 scripts, 1 skipped"));
}

TEST_F(Comparisons, AScriptThatFailsFailsTheRun) {
  for (const char* work :
       {"echo '29 of 30 comparisons agree (a)'; exit 1", "echo '29 of 30 comparisons agree (a)'"}) {
    const Outcome outcome = compare({{"torch_check.py", work}});
    EXPECT_EQ(outcome.status, 1) << work;
    EXPECT_THAT(outcome.out, HasSubstr("comparisons: 30 of 31 agree in 2 scripts, 0 skipped"));
    EXPECT_THAT(outcome.err, HasSubstr("error: disagrees: tests/interop/torch_check.py"));
  }
  // One that broke off, or compared nothing, or says nothing of it.
  for (const char* work : {"echo 'Traceback'; exit 1", "echo '0 of 0 comparisons agree (a)'",
                           "echo 'all is well'", "true"}) {
    const Outcome outcome = compare({{"torch_check.py", work}});
    EXPECT_EQ(outcome.status, 1) << work;
    EXPECT_THAT(outcome.err, HasSubstr("tests/interop/torch_check.py"));
    EXPECT_THAT(outcome.err, Not(HasSubstr("tokenizers_check.py")));
  }
}

TEST_F(Comparisons, AWrongRequestIsNamed) {
  EXPECT_EQ(compare({}, {"--every"}).status, 2);
  EXPECT_EQ(run_program({source_path("tools/comparisons"), "--help"}).status, 0);
}

TEST_F(Comparisons, TheReportCountsAndEndsInOneLine) {
  const Outcome agree = python(
      "report.check('one', True)\nreport.add('many', 4, 4)\nsys.exit(report.finish('of a test'))");
  EXPECT_EQ(agree.status, 0);
  EXPECT_THAT(agree.out, ::testing::EndsWith("\n5 of 5 comparisons agree (of a test)\n"));
  const Outcome disagree = python(
      "report.quiet = True\nreport.check('one', True)\nreport.check('two', 1 == 2, 'so far')\n"
      "report.add('many', 2, 4)\nsys.exit(report.finish('of a test'))");
  EXPECT_EQ(disagree.status, 1);
  EXPECT_THAT(disagree.out, Not(HasSubstr("one")));
  EXPECT_THAT(disagree.out, HasSubstr("FAILED: two  so far"));
  EXPECT_THAT(disagree.out, HasSubstr("FAILED: many: 2 of 4"));
  EXPECT_THAT(disagree.out, ::testing::EndsWith("\n3 of 6 comparisons agree (of a test)\n"));
  EXPECT_EQ(python("sys.exit(report.finish('nothing'))").status, 1);
}

TEST_F(Comparisons, WhatIsMissingIsSkippedAndWhatRaisesHasFailed) {
  const Outcome missing = python("with needed():\n    import a_package_that_nobody_has");
  EXPECT_EQ(missing.status, 77);
  EXPECT_THAT(missing.out, HasSubstr("skipped: the Python package 'a_package_that_nobody_has'"));
  const Outcome raises = python(
      "def broken(folder):\n    raise ValueError('no')\n"
      "with folder_of() as folder:\n"
      "    run_each([('sound', lambda f: report.check('f', f.is_dir())), ('broken', broken)], "
      "folder)\n"
      "assert not folder.exists()\nsys.exit(report.finish('two'))");
  EXPECT_EQ(raises.status, 1) << raises.err;
  EXPECT_THAT(raises.out, HasSubstr("FAILED: broken: ran  ValueError: no"));
  EXPECT_THAT(raises.out, HasSubstr("1 of 2 comparisons agree"));
  EXPECT_EQ(python("built('/nowhere/heed')").status, 1);
}

// A program that was asked and ended without an answer to each question has failed.
TEST_F(Comparisons, AnAnswerIsWantedForEachQuestion) {
  const auto asked = [&](const std::string& program) {
    write("program", "#!/bin/sh\n" + program + "\n");
    std::filesystem::permissions(path("program"), std::filesystem::perms::owner_all);
    return python("with folder_of() as folder:\n    ask('" + path("program") +
                  "', 'T.*', folder, 3, 'texts')\nsys.exit(report.finish('asked'))");
  };
  const std::string answer = "echo '{\"agree\": 3, \"of\": 3}' > $1/compared.json";
  EXPECT_THAT(asked(answer).out, HasSubstr("3 of 3 comparisons agree"));
  EXPECT_EQ(asked(answer).status, 0);
  EXPECT_EQ(asked("true").status, 1) << "a filter that matches no test";
  EXPECT_EQ(asked("echo '{\"agree\": 2, \"of\": 2}' > $1/compared.json").status, 1);
  EXPECT_EQ(asked(answer + "; exit 1").status, 1);
  EXPECT_THAT(asked("echo '{\"agree\": 1, \"of\": 3}' > $1/compared.json; exit 1").out,
              ::testing::EndsWith("\n1 of 3 comparisons agree (asked)\n"));
}

}  // namespace
}  // namespace heed::tools
