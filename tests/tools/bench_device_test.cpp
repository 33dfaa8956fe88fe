// heed bench on a device: the CPU here; a GPU that is not there is a wrong request.
#include <gmock/gmock.h>

#include <set>

#include "heed_command.h"

namespace heed::tools {
namespace {

using ::testing::HasSubstr;

class BenchDevice : public CommandTest {
 protected:
  nlohmann::json document(const std::vector<std::string>& arguments) const {
    const Outcome outcome = heed(arguments);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return parse_document(outcome.out);
  }
};

TEST_F(BenchDevice, CeilingsAreThoseOfCopiesAndProducts) {
  const auto found = document(
      {"bench", "device", "--seconds", "0", "--mib", "1", "--sizes", "64", "96", "--json"});
  EXPECT_EQ(found["device"], "cpu");
  EXPECT_EQ(found["copy_bytes"], 1 << 20);
  EXPECT_GT(found["copy_gb_s"], 0.0);
  std::set<std::string> kinds;
  for (const auto& one : found["products"]) {
    EXPECT_GT(one["tflops"], 0.0);
    kinds.insert(one["dtype"].get<std::string>() + std::to_string(one["size"].get<int>()));
  }
  EXPECT_EQ(kinds, (std::set<std::string>{"f3264", "f3296", "bf1664", "bf1696"}));
}

TEST_F(BenchDevice, OpsAreCountedInBytes) {
  const auto found =
      document({"bench", "ops", "--rows", "7", "--width", "64", "--seconds", "0", "--json"});
  std::set<std::string> names;
  for (const auto& one : found["ops"]) {
    names.insert(one["op"]);
    EXPECT_GT(one["ms"], 0.0) << one["op"];
    EXPECT_NEAR(one["gb_s"].get<double>() * one["ms"].get<double>() * 1e6,
                one["bytes"].get<double>(), 1.0);
    if (one["op"] == "swiglu backward") {
      EXPECT_EQ(one["bytes"], 5 * 7 * 64 * (one["dtype"] == "f32" ? 4 : 2));
    }
  }
  EXPECT_EQ(names.size(), 18u);
  EXPECT_EQ(document({"bench", "ops", "--rows", "7", "--width", "9", "--seconds", "0", "--json",
                      "--only", "softmax", "adamw"})["ops"]
                .size(),
            3u);
}

TEST_F(BenchDevice, ADeviceThatIsNotThereIsAWrongRequest) {
  for (const char* what : {"device", "ops", "attention", "mechanism"}) {
    std::vector<std::string> command = {"bench", what, "--device", "cuda:999"};
    if (std::string(what) == "mechanism") command.insert(command.begin() + 2, "softmax");
    const Outcome outcome = heed(command);
    EXPECT_EQ(outcome.status, 2) << what << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr("--device"));
  }
  EXPECT_THAT(heed({"bench", "device", "--device", "tpu"}).err, HasSubstr("unknown device 'tpu'"));
  EXPECT_THAT(heed({"bench", "ops", "--only", "sofmax"}).err, HasSubstr("there is no 'sofmax'"));
}

}  // namespace
}  // namespace heed::tools
