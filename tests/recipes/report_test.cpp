#include "recipes/engine/report.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "core/files.h"
#include "recipes/engine/report/chart.h"

namespace heed::recipes {
namespace {

namespace fs = std::filesystem;
using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kRecipe[] = "name: a<b\ndescription: small & quick\ntrain: {steps: 20}\n";
constexpr char kMetrics[] =
    R"({"kind":"start","step":0,"name":"a<b","parameters":1234,"item":"tokens","items_per_step":6,"threads":2,"processor":"A&B","data":"text: \"x\""}
{"kind":"train","step":1,"loss":5.5,"learning_rate":0.1,"grad_norm":2.0,"step_ms":3.0,"items":8,"items_per_second":100.0,"peak_bytes":1048576,"seconds":0.5}
{"kind":"train","step":2,"loss":null,"learning_rate":0.1,"grad_norm":1.0,"step_ms":3.0,"items":16,"items_per_second":100.0,"peak_bytes":2097152,"seconds":1.0}
{"kind":"baselines","step":2,"unigram.loss":4.5,"unigram.bits_per_byte":4.0}
{"kind":"eval","step":2,"loss":3.25,"bits_per_byte":2.5,"seconds":1.5,"best":true}
{"kind":"eval","step":4,"loss":3.75,"bits_per_byte":3.0,"seconds":2.5,"best":false}
{"kind":"sample","step":4,"prompt":"<p>","text":"</script><script>alert(1)</script>"}
)";

class Report : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
    root_ = fs::temp_directory_path() / (std::string("heed-report-") + info->name());
    fs::remove_all(root_);
  }
  void TearDown() override { fs::remove_all(root_); }

  std::string run(const std::string& name, const std::string& metrics) {
    const fs::path folder = root_ / name;
    make_directories(folder.string());
    write_file_atomically((folder / "recipe.yaml").string(), kRecipe);
    write_file_atomically((folder / "metrics.jsonl").string(), metrics);
    return folder.string();
  }

  fs::path root_;
};

TEST_F(Report, ShowsTheBestEvaluationBesideTheBaselines) {
  const std::string page = report_page({run("a", kMetrics)});
  EXPECT_THAT(page, HasSubstr("<dd>3.2500</dd><p>best, at step 2</p>"));
  EXPECT_THAT(page, HasSubstr("<dd>2.500</dd><p>unigram: 4.000</p>"));
  EXPECT_THAT(page, HasSubstr("<dd>2.0 MiB</dd>"));
  EXPECT_THAT(page, HasSubstr("<dd>2.00k</dd><p>tokens/s, 3 ms a step</p>"));
}

TEST_F(Report, JudgesByTheTasksMetric) {
  const std::string page = report_page(
      {run("a",
           R"({"kind":"start","step":0,"name":"a","metric":"macro_f1","lower_is_better":false}
{"kind":"baselines","step":2,"majority.macro_f1":0.125,"majority.accuracy":0.5}
{"kind":"eval","step":2,"loss":1.5,"macro_f1":0.75}
{"kind":"eval","step":4,"loss":1.25,"macro_f1":0.5}
)")});
  EXPECT_THAT(page, HasSubstr("Macro f1"));
  EXPECT_THAT(page, HasSubstr("<dd>0.7500</dd><p>best, at step 2; majority: 0.125</p>"));
  EXPECT_THAT(page, HasSubstr("<dd>1.5000</dd><p>best, at step 2</p>"));
}

TEST_F(Report, BarsOfNothingOrBelowItHaveAWidth) {
  const auto page_of = [&](const char* baseline, const char* own) {
    return report_page(
        {run("a", fmt::format(R"({{"kind":"start","step":0,"name":"a","metric":"gain"}}
{{"kind":"baselines","step":2,"constant.gain":{}}}
{{"kind":"eval","step":2,"loss":1.5,"gain":{}}}
)",
                              baseline, own))});
  };
  EXPECT_THAT(page_of("0.0", "0.0"), HasSubstr("c7\" style=\"width:0.0%"));
  const std::string below = page_of("-0.5", "0.25");
  EXPECT_THAT(below, HasSubstr("c7\" style=\"width:100.0%"));
  EXPECT_THAT(below, HasSubstr("c0\" style=\"width:50.0%"));
}

TEST_F(Report, SaysWhatTheRunRanOn) {
  const std::string page = report_page({run("a", kMetrics)});
  EXPECT_THAT(page, HasSubstr("<td>A&amp;B</td><td>2</td>"));
}

TEST_F(Report, SaysHowFarAnUnfinishedRunGot) {
  const std::string torn = std::string(kMetrics) + R"({"kind":"train","st)";
  EXPECT_THAT(report_page({run("a", torn)}), HasSubstr("at step 4 of 20"));
  const std::string whole = std::string(kMetrics) + "{\"kind\":\"end\",\"step\":20}\n";
  EXPECT_THAT(report_page({run("b", whole)}), HasSubstr("finished, 20 steps"));
}

TEST_F(Report, EscapesWhatTheRunWrote) {
  const std::string page = report_page({run("a", kMetrics)});
  EXPECT_THAT(page, Not(HasSubstr("<script>alert")));
  EXPECT_THAT(page, HasSubstr("&lt;script&gt;alert(1)"));
  EXPECT_THAT(page, HasSubstr("<title>a&lt;b</title>"));
  EXPECT_THAT(page, HasSubstr("small &amp; quick"));
}

TEST_F(Report, NeedsNoNetwork) {
  std::string page = report_page({run("a", kMetrics)});
  const std::string name_space = "http://www.w3.org/2000/svg";  // a name, not an address to load
  for (size_t at; (at = page.find(name_space)) != std::string::npos;) {
    page.erase(at, name_space.size());
  }
  EXPECT_THAT(page, Not(HasSubstr("http:")));
  EXPECT_THAT(page, Not(HasSubstr("https:")));
  EXPECT_THAT(page, Not(HasSubstr("src=")));
}

TEST_F(Report, HoldsARunThatLoggedNothingYet) {
  const std::string page = report_page({run("a", "")});
  EXPECT_THAT(page, HasSubstr("at step 0 of 20"));
  EXPECT_THAT(page, Not(HasSubstr("<figure")));
}

TEST_F(Report, TellsRunsOfOneNameApartByFolder) {
  const std::string page = report_page({run("first", kMetrics), run("second", kMetrics)});
  EXPECT_THAT(page, HasSubstr("first"));
  EXPECT_THAT(page, HasSubstr("second"));
  EXPECT_THAT(page, HasSubstr("2 runs"));
}

TEST_F(Report, RefusesAFolderWithoutARun) {
  EXPECT_THROW(report_page({(root_ / "nothing").string()}), RequestError);
  make_directories((root_ / "empty").string());
  EXPECT_THROW(report_page({(root_ / "empty").string()}), RequestError);
  EXPECT_THROW(report_page({}), RequestError);
}

TEST(ReportTicks, AreRoundAndInside) {
  EXPECT_THAT(ticks(0.0, 1.0, 5),
              ElementsAre(DoubleNear(0.0, 1e-12), DoubleNear(0.2, 1e-12), DoubleNear(0.4, 1e-12),
                          DoubleNear(0.6, 1e-12), DoubleNear(0.8, 1e-12), DoubleNear(1.0, 1e-12)));
  EXPECT_THAT(ticks(3.0, 17.0, 4), ElementsAre(5.0, 10.0, 15.0));
  EXPECT_TRUE(ticks(1.0, 1.0, 5).empty());
  for (double high = 1e-7; high < 1e9; high *= 3.7) {
    const std::vector<double> values = ticks(-0.3 * high, high, 6);
    EXPECT_GE(values.size(), 2u) << high;
    EXPECT_LE(values.size(), 8u) << high;
  }
}

TEST(ReportSmoothed, KeepsLinesAndAveragesNoise) {
  Series line;
  for (int i = 0; i < 50; ++i) line.add(i, 2.0 * i + 1.0);
  const Series same = smoothed(line, 9);
  for (size_t i = 0; i < line.y.size(); ++i) EXPECT_NEAR(same.y[i], line.y[i], 1e-12);
  Series zigzag;
  for (int i = 0; i < 51; ++i) zigzag.add(i, i % 2 == 0 ? 1.0 : -1.0);
  EXPECT_NEAR(smoothed(zigzag, 11).y[25], 1.0 / 11.0, 1e-12);
}

TEST(ReportThinned, KeepsTheMean) {
  Series series;
  for (int i = 0; i < 1000; ++i) series.add(i, std::sin(0.01 * i));
  const Series few = thinned(series, 10);
  ASSERT_EQ(few.y.size(), 10u);
  double all = 0.0, kept = 0.0;
  for (const double y : series.y) all += y / 1000.0;
  for (const double y : few.y) kept += y / 10.0;
  EXPECT_NEAR(all, kept, 1e-12);
}

TEST(ReportChart, LeavesOutWhatIsNotFinite) {
  Series series;
  series.add(1, NAN);
  EXPECT_EQ(chart({.title = "x"}, {{.label = "x", .points = series}}), "");
  series.add(2, 1.0);
  series.add(3, INFINITY);
  const std::string figure = chart({.title = "x"}, {{.label = "x", .points = series}});
  EXPECT_THAT(figure, HasSubstr("<figure"));
  EXPECT_THAT(figure, Not(HasSubstr("nan")));
  EXPECT_THAT(figure, Not(HasSubstr("inf")));
}

TEST(ReportChart, FilesStandAlone) {
  Series series;
  series.add(0, 3.0);
  series.add(1, 30.0);
  EXPECT_EQ(chart_file({.title = "x"}, {{.label = "nothing"}}), "");
  const std::string file = chart_file(
      {.title = "a < b", .unit = "ms", .log_scale = true, .x_labels = {"few", "many"}},
      {{.label = "heed", .points = series}, {.label = "level", .points = series, .dashed = true}});
  EXPECT_THAT(file, StartsWith("<svg xmlns=\"http://www.w3.org/2000/svg\""));
  for (const char* text : {"a &lt; b", ">ms<", ">heed<", ">level<", ">few<", ">many<", "stroke: #"})
    EXPECT_THAT(file, HasSubstr(text));
  EXPECT_THAT(file, Not(HasSubstr("var(")));
}

}  // namespace
}  // namespace heed::recipes
