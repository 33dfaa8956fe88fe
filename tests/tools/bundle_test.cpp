// tools/bundle: what it packs runs in another folder with an empty environment.
#include <gmock/gmock.h>

#include "heed_command.h"

namespace heed::tools {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class Bundle : public CommandTest {
 protected:
  Outcome bundle(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {source_path("tools/bundle"), "--build", HEED_BINARY_DIR,
                                         "--programs", "heed", "--no-mpirun", "--level", "0"});
    return run_program(arguments);
  }
};

TEST_F(Bundle, RunsElsewhereWithAnEmptyEnvironment) {
  for (const bool wrappers : {false, true}) {
    SCOPED_TRACE(wrappers ? "wrappers" : "patchelf, where it is");
    const std::string name = wrappers ? "wrapped" : "plain";
    std::vector<std::string> arguments = {"--out", path(name + ".tar.xz"), "--limit", "0"};
    if (wrappers) arguments.push_back("--wrappers");
    const Outcome packed = bundle(arguments);
    ASSERT_EQ(packed.status, 0) << packed.err;
    EXPECT_THAT(packed.out, HasSubstr("unpacked): heed; "));
    const std::string root = path(name + "/heed-bundle");
    ASSERT_EQ(run_program({"mkdir", name}).status, 0);
    ASSERT_EQ(run_program({"tar", "xf", name + ".tar.xz", "-C", name}).status, 0);

    const Outcome doctor = run_program({"env", "-i", root + "/build/heed", "doctor", "--json"});
    ASSERT_EQ(doctor.status, 0) << doctor.err;
    EXPECT_EQ(parse_document(doctor.out)["recipes"], root + "/recipes");
    // What it is linked with comes from the bundle.
    if (!wrappers && run_program({"patchelf", "--version"}).status == 0) {
      const Outcome linked =
          run_program({"env", "-i", "LD_TRACE_LOADED_OBJECTS=1", root + "/build/heed"});
      EXPECT_THAT(linked.out, HasSubstr(root + "/build/../lib/libfmt.so"));
    }
    const std::string index = read(name + "/heed-bundle/licences/INDEX");
    EXPECT_THAT(index, HasSubstr("libdnnl.so"));
    for (const char* left : {"libc.so", "libcudart", "libcublas", "libnccl"})
      EXPECT_THAT(index, Not(HasSubstr(left)));
    EXPECT_EQ(run_program({root + "/tools/gpu-check", "--help"}).status, 0);
  }
}

TEST_F(Bundle, RefusesWhatIsAboveTheLimitAndNamesTheLargestFiles) {
  const Outcome outcome = bundle({"--out", path("small.tar.xz"), "--limit", "100K"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, StartsWith("error: the archive has "));
  EXPECT_THAT(outcome.err, HasSubstr("above --limit 100K"));
  EXPECT_THAT(outcome.err, HasSubstr("lib/libdnnl.so"));
  EXPECT_FALSE(exists("small.tar.xz"));
}

TEST_F(Bundle, WrongRequestsAreToldApart) {
  const auto refused = [&](const std::vector<std::string>& arguments, const char* message) {
    const Outcome outcome = bundle(arguments);
    EXPECT_EQ(outcome.status, 2) << message;
    EXPECT_THAT(outcome.err, HasSubstr(message));
  };
  refused({"--limit", "much"}, "--limit takes a size");
  refused({"--out", path("nowhere/x.tar.xz")}, "there is no folder");
  refused({"--build", path("nowhere")}, "build it with");
  refused({"--tar"}, "unknown argument '--tar'");
  EXPECT_TRUE(everything().empty());
}

}  // namespace
}  // namespace heed::tools
