#include "recipes/engine/papers.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "nn/registry.h"
#include "recipes/engine/claim.h"

namespace heed::recipes {
namespace {

namespace fs = std::filesystem;

struct Papers {
  std::vector<Paper> papers;
  void options(Options& o) { o.list("papers", papers, "facts of each"); }
};

/// Whether the source of a module ("arXiv 2403.04690; arXiv 2504.16922") names the paper.
bool cites(const std::string& source, const Paper& paper) {
  return std::any_of(paper.arxiv.begin(), paper.arxiv.end(), [&](const std::string& number) {
    return source.find("arXiv " + number) != std::string::npos;
  });
}

std::optional<PaperVerdict> verdict_in(const fs::path& folder) {
  const fs::path file = folder / "claim.result.json";
  if (!fs::is_regular_file(file)) return {};
  const Config result = read_json_file(file.string());
  return PaperVerdict{
      result.at("verdict").as_string(), result.at("size").as_string(),
      result.at("seeds").as_integer(),
      load_claim((folder / "claim.yaml").string()).sha256 != result.at("claim_sha256").as_string()};
}

}  // namespace

void Paper::options(Options& o) {
  o.field("slug", slug, "names its folder of recipes", {.required = true});
  o.field("title", title, "as it was published", {.required = true});
  o.field("arxiv", arxiv, "arXiv numbers, its own first", {.required = true});
  o.field("year", year, "of its first version", {.required = true});
  o.field("kinds", kinds, "what it brings",
          {.one_of = {"mechanism", "family", "method", "system", "benchmark", "theory"},
           .required = true});
  o.field("summary", summary, "one line", {.required = true});
}

std::vector<Paper> load_papers(const std::string& file) {
  const Config tree = read_yaml_file(file);
  std::vector<Paper> papers = read_options<Papers>(tree, "papers").papers;
  std::set<std::string> slugs;
  for (size_t i = 0; i < papers.size(); ++i) {
    if (slugs.insert(papers[i].slug).second) continue;
    fail_request(tree.at("papers").as_list()[i].where(),
                 fmt::format("the paper '{}' stands here twice", papers[i].slug));
  }
  return papers;
}

std::string PaperState::text() const {
  if (verdict) {
    return verdict->verdict + (verdict->size == "mini" ? "" : " (" + verdict->size + ")") +
           (verdict->outdated ? ", of an earlier claim" : "");
  }
  if (!files.empty()) return fmt::format("recipes: {}", fmt::join(files, ", "));
  if (!parts.empty()) return fmt::format("modules: {}", fmt::join(parts, ", "));
  return "not begun";
}

PaperState paper_state(const Paper& paper, const std::string& folder) {
  PaperState state;
  for (const nn::ModuleEntry& entry : nn::module_registry()) {
    if (cites(entry.source, paper)) state.parts.push_back(entry.name);
  }
  std::sort(state.parts.begin(), state.parts.end());
  for (const char* name : {"smoke", "mini", "claim", "paper"}) {
    if (fs::is_regular_file(fs::path(folder) / fmt::format("{}.yaml", name)))
      state.files.emplace_back(name);
  }
  state.verdict = verdict_in(folder);
  return state;
}

}  // namespace heed::recipes
