#include "recipes/engine/metrics.h"

#include <gtest/gtest.h>

#include "tests/recipes/scratch.h"

namespace heed::recipes {
namespace {

Config loss(double value) {
  Config fields = Config::map();
  fields.set("loss", value);
  return fields;
}

TEST(Metrics, LinesReadBack) {
  const Scratch folder;
  MetricsWriter writer(folder.path("metrics.jsonl"), 0);
  writer.write("train", 1, loss(2.5));
  writer.write("eval", 1, loss(2.25));
  const auto lines = read_metrics(folder.path("metrics.jsonl"));
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0].at("kind").as_string(), "train");
  EXPECT_EQ(lines[1].at("loss").as_number(), 2.25);
}

TEST(Metrics, ResumeCutsLaterStepsAndGoesOn) {
  const Scratch folder;
  const std::string path = folder.path("metrics.jsonl");
  {
    MetricsWriter writer(path, 0);
    for (int64_t step = 1; step <= 5; ++step) writer.write("train", step, loss(1.0));
  }
  const std::string whole = slurp(path);
  {
    MetricsWriter writer(path, 3);
    for (int64_t step = 4; step <= 5; ++step) writer.write("train", step, loss(1.0));
  }
  EXPECT_EQ(slurp(path), whole);
}

TEST(Metrics, ResumeDropsALineCutShort) {
  const Scratch folder;
  const std::string path = folder.path("metrics.jsonl");
  { MetricsWriter(path, 0).write("train", 1, loss(1.0)); }
  const std::string whole = slurp(path);
  for (const std::string tail : {"{\"kind\":\"train\",\"st", "{\"kind\":\"train\",\"step\":2}",
                                 "garbage\n", "{\"step\":\"x\"}\n"}) {
    spit(path, whole + tail);
    { const MetricsWriter writer(path, 9); }
    EXPECT_EQ(slurp(path), whole) << tail;
  }
}

TEST(Metrics, FreshRunStartsAnew) {
  const Scratch folder;
  const std::string path = folder.path("metrics.jsonl");
  { MetricsWriter(path, 0).write("start", 0, loss(1.0)); }
  { const MetricsWriter writer(path, -1); }
  EXPECT_EQ(slurp(path), "");
}

TEST(Metrics, FileThatCannotBeWrittenIsAnError) {
  EXPECT_THROW(MetricsWriter("/nonexistent/metrics.jsonl", 0), Error);
  EXPECT_THROW(read_metrics("/nonexistent/metrics.jsonl"), RequestError);
}

}  // namespace
}  // namespace heed::recipes
