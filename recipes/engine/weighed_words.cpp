#include "recipes/engine/weighed_words.h"

#include <algorithm>

#include "recipes/engine/report/chart.h"

namespace heed::recipes {

Config to_config(const WeighedWords& sample) {
  Config heads = Config::list();
  for (const std::vector<double>& head : sample.heads)
    heads.append(Config(Config::List(head.begin(), head.end())));
  return Config(
      Config::Map{{"class", sample.label},
                  {"predicted", sample.predicted},
                  {"words", Config(Config::List(sample.words.begin(), sample.words.end()))},
                  {"heads", heads}});
}

WeighedWords read_weighed_words(const Config& document) {
  WeighedWords sample{
      document.at("class").as_string(), document.at("predicted").as_string(), {}, {}};
  for (const Config& word : document.at("words").as_list())
    sample.words.push_back(word.as_string());
  for (const Config& head : document.at("heads").as_list()) {
    std::vector<double>& weights = sample.heads.emplace_back();
    for (const Config& weight : head.as_list()) weights.push_back(weight.as_number());
    if (weights.size() != sample.words.size()) {
      fail_request(head.where(),
                   fmt::format("{} weights of {} words", weights.size(), sample.words.size()));
    }
  }
  return sample;
}

std::string heat_map(const WeighedWords& sample) {
  std::string html = fmt::format("<p>{}, taken for {}</p>\n<table class=\"words\">\n",
                                 escaped(sample.label), escaped(sample.predicted));
  for (size_t head = 0; head < sample.heads.size(); ++head) {
    const std::vector<double>& weights = sample.heads[head];
    const double heaviest =
        weights.empty() ? 0.0 : *std::max_element(weights.begin(), weights.end());
    html += fmt::format("<tr><td>{}</td><td>", head + 1);
    for (size_t i = 0; i < weights.size(); ++i) {
      const double share = heaviest > 0.0 ? 100.0 * weights[i] / heaviest : 0.0;
      html += fmt::format(
          "<span style=\"background:color-mix(in srgb, var(--c1) {:.0f}%, transparent)\" "
          "title=\"{:.3f}\">{}</span>",
          share, weights[i], escaped(sample.words[i]));
    }
    html += "</td></tr>\n";
  }
  return html + "</table>\n";
}

}  // namespace heed::recipes
