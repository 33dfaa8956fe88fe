// tools/gpu-check where there is no GPU: it says so; with programs that only pretend, a step that
// fails loses nothing of the others; and what it writes from made-up results is what these say.
#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>

#include "heed_command.h"

namespace heed::tools {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

class GpuCheck : public CommandTest {
 protected:
  /// A program of that name, ahead of all others, that is this shell script.
  void pretend(const std::string& name, const std::string& script) const {
    write("programs/" + name, "#!/bin/sh\n" + script + "\n");
    std::filesystem::permissions(path("programs/" + name), std::filesystem::perms::owner_all);
  }
  Outcome gpu_check(const std::vector<std::string>& arguments) const {
    std::vector<std::string> command = {
        "/usr/bin/env", "PATH=" + path("programs") + ":" + std::getenv("PATH"),
        "HEED_PYTHON=" + path("no-python"), source_path("tools/gpu-check")};
    command.insert(command.end(), arguments.begin(), arguments.end());
    return run_program(command);
  }
  Outcome tables(const std::vector<std::string>& arguments) const {
    std::vector<std::string> command = {"python3", source_path("tools/gpu_check_tables.py")};
    command.insert(command.end(), arguments.begin(), arguments.end());
    return run_program(command);
  }

  /// What a step leaves.
  void passed(const std::string& step, const std::string& name = "", const json& document = {},
              const std::string& build = "heed 0 (made up)") const {
    write("results/" + step + "/status.txt",
          "status passed\nwhy \nbuild " + build + "\nseconds 7\n");
    if (!name.empty()) write("results/" + step + "/" + name + ".json", document.dump());
  }
  void made_up_device() const {
    write("results/device.txt",
          "date 2001-02-03T04:05Z\nbuild heed 0 (made up)\nname Imaginary 9000\ndriver 1.2\n"
          "memory_mib 2048\nclock_mhz 1000\nmemory_clock_mhz 500\npower_limit_w 70\ncuda 13.0\n");
  }
};

json attention(double own, double theirs) {
  return {{"batch", 4},
          {"heads", 32},
          {"forward_ms", own},
          {"forward_gflops", 500e3},
          {"forward_backward_ms", 3 * own},
          {"forward_backward_gflops", 400e3},
          {"kernels", "sm_90a"},
          {"portable_forward_ms", 1.5 * own},
          {"portable_forward_backward_ms", 6 * own},
          {"pytorch_forward_ms", theirs},
          {"pytorch_forward_backward_ms", 3 * theirs},
          {"pytorch_kernel", "flash"}};
}

TEST_F(GpuCheck, WithoutAGpuSaysSoAndWritesNothing) {
  pretend("nvidia-smi", "echo 'NVIDIA-SMI has failed: no driver' >&2; exit 9");
  const Outcome outcome = gpu_check({"--out", path("results")});
  EXPECT_EQ(outcome.status, 2);
  EXPECT_THAT(outcome.err, HasSubstr("error: there is no NVIDIA GPU on this machine"));
  EXPECT_EQ(outcome.out, "");
  EXPECT_FALSE(exists("results"));
}

TEST_F(GpuCheck, WrongRequestsAreToldApart) {
  const auto refused = [&](const std::vector<std::string>& arguments, const char* message) {
    const Outcome outcome = gpu_check(arguments);
    EXPECT_EQ(outcome.status, 2) << message;
    EXPECT_THAT(outcome.err, HasSubstr(message));
  };
  refused({"--only", "tests,ceiling"}, "there is no step 'ceiling'");
  refused({"--device", "cuda:1"}, "--device takes cuda or cpu");
  refused({"--out"}, "--out needs a value");
  refused({"--fast"}, "unknown argument '--fast'");
  refused({"--from", path("nowhere")}, "holds no results of gpu-check");
  EXPECT_THAT(gpu_check({"--help"}).out, HasSubstr("usage: tools/gpu-check"));
}

TEST_F(GpuCheck, AFailingStepLosesNothingOfTheOthers) {
  pretend("nvidia-smi", R"sh(case "$*" in
  -L) echo "GPU 0: Imaginary 9000" ;;
  *name,driver*) echo "Imaginary 9000, 1.2, [N/A], 9.0, 1000, 500, 70" ;;
  *-lms*) echo "900, 500, 60, 40"; echo "800, 500, 50, 40"; exec sleep 60 ;;
  *) echo "| CUDA Version: 13.0 |" ;;
esac)sh");
  pretend("test_cuda", R"sh(case "$*" in *gtest_filter=none*) exit 0 ;; esac
echo '{"testsuites": [{"testsuite": [{"result": "COMPLETED"}, {"result": "SKIPPED"}]}]}' >tests.json)sh");
  pretend("heed", R"sh(case "$*" in
  *--version*) echo "heed 0 (made up)" ;;
  *"bench device"*)
    echo '{"copy_gb_s": 123, "products": [{"dtype": "bf16", "size": 8, "tflops": 45}]}' ;;
  *) echo "error: out of luck" >&2; exit 1 ;;
esac)sh");
  std::vector<std::string> arguments = {"--bin",  path("programs"),     "--out",    path("results"),
                                        "--only", "tests,ceilings,ops", "--no-docs"};
  const Outcome outcome = gpu_check(arguments);
  EXPECT_EQ(outcome.status, 1) << outcome.out << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("tests: passed"));
  EXPECT_THAT(outcome.out, HasSubstr("ops: failed"));
  EXPECT_THAT(outcome.out, HasSubstr("error: out of luck"));
  EXPECT_THAT(outcome.err, HasSubstr("error: failed: ops"));
  const json record = json::parse(read("results/record.json"));
  EXPECT_EQ(record["steps"]["tests"]["tests"],
            json({{"passed", 1}, {"failed", 0}, {"skipped", 1}}));
  EXPECT_EQ(record["steps"]["ceilings"]["measured"]["ceilings"]["copy_gb_s"], 123);
  EXPECT_EQ(record["steps"]["ops"]["status"], "failed");
  EXPECT_THAT(read("results/tables.md"), HasSubstr("Imaginary 9000"));

  pretend("test_cuda", R"sh(case "$*" in *gtest_filter=none*) exit 0 ;; esac; exit 1)sh");
  arguments.push_back("--resume");
  const Outcome again = gpu_check(arguments);
  EXPECT_EQ(again.status, 1);
  EXPECT_THAT(again.out, HasSubstr("tests: passed before"));
  EXPECT_THAT(again.out, HasSubstr("ops: failed"));
  arguments.push_back("--quick");  // is another run
  EXPECT_THAT(gpu_check(arguments).out, ::testing::AllOf(HasSubstr("ceilings: passed after"),
                                                         Not(HasSubstr("passed before"))));
}

TEST_F(GpuCheck, RanksThatAreRefusedAreAFailure) {
  const auto ranks = [&](const std::string& mpi, const std::string& mpirun) {
    pretend("mpirun", mpirun);
    pretend("heed", R"sh(case "$*" in
  *--version*) echo "heed 0 (made up)" ;;
  doctor*) echo '{"build": {"MPI": )sh" +
                        mpi + R"sh(}}' ;;
  train*) mkdir run
    for loss in 1 2 3 4 5 6 7 8 9 10; do echo "{\"loss\": $loss}"; done >run/metrics.jsonl ;;
esac)sh");
    return gpu_check({"--device", "cpu", "--bin", path("programs"), "--out", path("results"),
                      "--only", "ranks"});
  };
  const Outcome refused = ranks("true", "exit 2");
  EXPECT_EQ(refused.status, 1) << refused.out << refused.err;
  EXPECT_THAT(refused.out, HasSubstr("ranks: failed"));
  const Outcome apart = ranks("false", "exit 2");
  EXPECT_EQ(apart.status, 0) << apart.out << apart.err;
  EXPECT_THAT(apart.out, HasSubstr("heed was built without MPI"));
  const Outcome together = ranks("true", "shift 3; exec \"$@\"");  // --oversubscribe -np N
  EXPECT_EQ(together.status, 0) << together.out << together.err;
  EXPECT_THAT(together.out, HasSubstr("ranks: passed"));
}

TEST_F(GpuCheck, ThePageSaysWhatTheResultsHoldAndWhatTheyLack) {
  made_up_device();
  passed("tests", "tests", {{"testsuites", {{{"testsuite", {{{"result", "COMPLETED"}}}}}}}});
  passed("racecheck", "", {}, "heed of another day");
  passed(
      "ceilings", "ceilings",
      {{"copy_gb_s", 1000}, {"products", {{{"dtype", "bf16"}, {"size", 4096}, {"tflops", 800}}}}});
  passed(
      "ops", "heed",
      {{"rows", 64},
       {"width", 32},
       {"copy_gb_s", 1000},
       {"ops",
        {{{"op", "softmax"}, {"dtype", "bf16"}, {"ms", 0.5}, {"gb_s", 850}, {"of_copy", 0.85}}}}});
  passed("attention", "causal-64-4096", attention(2.0, 3.0));
  for (const int tokens : {4096, 8192, 16384}) {
    for (const int width : {64, 128}) {
      for (const char* form : {"dense", "causal"}) {
        if (tokens == 16384 && width == 128) continue;  // one size is missing
        passed("attention",
               std::string(form) + "-" + std::to_string(width) + "-" + std::to_string(tokens),
               attention(2.0, 3.0));
      }
    }
  }
  passed("sparse", "window",
         {{"pattern", "window(9, 9)"},
          {"tokens", 4096},
          {"head_dim", 64},
          {"density", 0.25},
          {"forward_ms", 0.5},
          {"dense_forward_ms", 1.8},
          {"forward_backward_ms", 1.0},
          {"dense_forward_backward_ms", 4.0}});
  passed("step", "heed",
         {{"items_per_step", 65536},
          {"items_per_second", 400000},
          {"gflops", 320e3},
          {"step_ms", {{"median", 163.8}}},
          {"peak_tensor_bytes", int64_t{1} << 34}});
  write("results/step/torch.json", json{{"version", "2.x"},
                                        {"mode", "compile"},
                                        {"tokens_per_step", 32768},
                                        {"tokens_per_second", 320000},
                                        {"ms", 102.4},
                                        {"peak_tensor_mib", 8192}}
                                       .dump());
  const std::string page =
      "# Page\n<!-- gpu-check: missing -->\nold\n<!-- end of gpu-check -->\nkept\n"
      "<!-- gpu-check: tables -->\n<!-- end of gpu-check -->\nend\n";
  write("page.md", page);
  const Outcome collected = tables({"collect", "results", "--record", "record.json"});
  ASSERT_EQ(collected.status, 0) << collected.err;
  EXPECT_THAT(collected.err, HasSubstr("racecheck: left out, of another build"));
  EXPECT_EQ(tables({"check", "--record", "record.json", "--docs", "page.md"}).status, 1);
  const Outcome outcome = tables({"write", "--record", "record.json", "--docs", "page.md"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(tables({"check", "--record", "record.json", "--docs", "page.md"}).status, 0);
  const std::string text = read("page.md");

  for (const char* lacking :
       {"- the small ones of them under `compute-sanitizer`'s racecheck\n", "- NCCL",
        "- ops that are bound by memory, beside PyTorch\n", "- fused attention, dense and causal"})
    EXPECT_THAT(text, HasSubstr(lacking));
  for (const char* there : {"- the tests of every op", "- the ceilings", "beside a copy\n",
                            "- sparse patterns", "- that step in PyTorch", "old"})
    EXPECT_THAT(text, Not(HasSubstr(there)));
  for (const char* shown :
       {"Imaginary 9000, 2 GiB, driver 1.2 (CUDA 13.0), clocks up to 1000 MHz", "2001-02-03",
        "| `test_cuda` | passed: 1 passed |", "| copy, read and written | 1000 GB/s |",
        "| softmax | bf16 | 0.500 ms | 850 | 85% |  |  |",
        // 500 TFLOP/s of 800; 3 ms of PyTorch over 2
        "| 4, 32, 4096, 64 | causal | 2.000 ms | 500 | 62% | 3.000 ms | 1.50 |",
        // the portable kernels' 3 and 12 ms over 2 and 6
        "| 4, 32, 4096, 64 | causal | 2.000 ms | 3.000 ms | 1.50 | 6.000 ms | 12.0 ms | 2.00 |",
        // 0.5 of 1.8 ms at a quarter of the pairs: 0.25 * 1.8 / 0.5
        "| `window(9, 9)` | 4096, 64 | 25.0% | 0.500 ms | 27.8% | 90% | 1.000 ms | 25.0% | 100% |",
        "1.25 times as many tokens a second",
        "| heed | 65536 | 163.8 ms | 400000 | 320 | 40% | 16.0 GiB |",
        "| PyTorch 2.x, compile | 32768 | 102.4 ms | 320000 | 256 | 32% | 8.0 GiB |", "kept"})
    EXPECT_THAT(text, HasSubstr(shown));
}

TEST_F(GpuCheck, FiguresOfASmallRunOrOfACpuStayOffThePage) {
  write("page.md", "<!-- gpu-check: missing -->\n<!-- end of gpu-check -->\n");
  for (const char* device : {R"({"name": "x", "driver": "1", "quick": "1"})", R"({"name": "x"})"}) {
    write("record.json",
          std::string(R"({"device": )") + device + R"(, "steps": {"nccl": {"status": "passed"}}})");
    const Outcome outcome = tables({"write", "--record", "record.json", "--docs", "page.md"});
    EXPECT_EQ(outcome.status, 2);
    EXPECT_THAT(outcome.err, HasSubstr("not of a whole run on a GPU"));
  }
}

// HEED_UPDATE_DOCS=1 writes the page's stretches from docs/gpu-check.json, which is there once a
// GPU was measured.
TEST_F(GpuCheck, PerformanceIsWhatTheRecordSays) {
  const char* what = std::getenv("HEED_UPDATE_DOCS") != nullptr ? "write" : "check";
  const Outcome outcome = tables({what, "--record", source_path("docs/gpu-check.json"), "--docs",
                                  source_path("docs/performance.md")});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
}

}  // namespace
}  // namespace heed::tools
