// heed list: what this build knows.
#include <fmt/format.h>

#include <filesystem>
#include <functional>
#include <memory>

#include "data/registry.h"
#include "nn/attention/registry.h"
#include "nn/registry.h"
#include "recipes/engine/claim.h"
#include "recipes/engine/comparison.h"
#include "recipes/engine/papers.h"
#include "recipes/engine/recipe_tree.h"
#include "recipes/engine/task.h"
#include "tools/command.h"
#include "tools/install_paths.h"
#include "tools/text.h"

namespace heed::tools {
namespace {

/// One thing of a list: what it is called, what it is, where it comes from; how far it has come and
/// what else programs want to know, where that applies.
struct Item {
  std::string name;
  std::string summary;
  std::string source;
  std::string state = {};
  Config::Map more = {};
};

struct Kind {
  std::string name;
  std::string summary;
  std::function<std::vector<Item>()> items;
};

std::vector<Item> modules(const std::string& kind) {
  std::vector<Item> items;
  for (const nn::ModuleEntry& entry : nn::module_registry()) {
    if (entry.kind == kind) items.push_back({entry.name, entry.summary, entry.source});
  }
  return items;
}

/// Mechanisms, and the models that each suits.
std::vector<Item> attentions() {
  std::vector<Item> items;
  for (const nn::AttentionEntry& entry : nn::attention_registry()) {
    const char* suits = entry.causal && entry.bidirectional ? "any model"
                        : entry.causal                      ? "causal models"
                                                            : "bidirectional models";
    items.push_back({entry.name, fmt::format("{}; {}", entry.summary, suits), entry.source});
  }
  return items;
}

std::vector<Item> tasks() {
  std::vector<Item> items;
  for (const recipes::TaskEntry& entry : recipes::task_registry()) {
    items.push_back({entry.name, entry.summary, ""});
  }
  return items;
}

std::vector<Item> datasets() {
  std::vector<Item> items;
  for (const data::DatasetEntry& entry : data::dataset_registry()) {
    items.push_back({entry.name, entry.summary, ""});
  }
  return items;
}

std::vector<Item> recipe_items() {
  std::vector<Item> items;
  for (const std::string& file : recipe_files()) {
    const Config tree = recipes::load_recipe_tree(file);
    const Config* description = tree.find("description");
    items.push_back(
        {std::filesystem::proximate(file).string(),
         description != nullptr && description->is_string() ? description->as_string() : "", ""});
  }
  return items;
}

std::vector<Item> claims() {
  std::vector<Item> items;
  for (const std::string& file : claim_files()) {
    const recipes::Claim claim = recipes::load_claim(file);
    items.push_back({claim.slug, claim.title, claim.paper});
  }
  return items;
}

std::vector<Item> comparisons() {
  std::vector<Item> items;
  for (const std::string& file : comparison_files()) {
    const recipes::Comparison comparison = recipes::load_comparison(file);
    items.push_back({comparison.slug, comparison.title, {}});
  }
  return items;
}

Config to_config(const std::vector<std::string>& texts) {
  return Config(Config::List(texts.begin(), texts.end()));
}

Config to_config(const std::optional<recipes::PaperVerdict>& verdict) {
  if (!verdict) return {};
  return Config(Config::Map{{"verdict", verdict->verdict},
                            {"size", verdict->size},
                            {"seeds", verdict->seeds},
                            {"outdated", verdict->outdated}});
}

/// All papers that heed is for, whether begun or not.
std::vector<Item> papers() {
  std::vector<Item> items;
  const std::string root = recipes_folder();
  if (root.empty()) return items;
  for (const recipes::Paper& paper : recipes::load_papers(root + "/papers.yaml")) {
    const recipes::PaperState state = recipes::paper_state(paper, root + "/" + paper.slug);
    items.push_back({paper.slug,
                     paper.summary,
                     fmt::format("{}, arXiv {}", paper.year, fmt::join(paper.arxiv, ", ")),
                     state.text(),
                     {{"title", paper.title},
                      {"arxiv", to_config(paper.arxiv)},
                      {"year", paper.year},
                      {"kinds", to_config(paper.kinds)},
                      {"modules", to_config(state.parts)},
                      {"recipes", to_config(state.files)},
                      {"claim", to_config(state.verdict)}}});
  }
  return items;
}

const std::vector<Kind>& kinds() {
  static const std::vector<Kind> all = {
      {"papers", "papers that heed is for, and how far each has come", papers},
      {"claims", "experiments that `heed reproduce NAME` runs", claims},
      {"comparisons", "settings side by side, by `heed compare NAME`", comparisons},
      {"models", "what a recipe's `model: {type: NAME}` can be", [] { return modules("model"); }},
      {"attentions", "what a model's `attention: {type: NAME}` can be", attentions},
      {"poolings", "what a model's `pool: {type: NAME}` can be", [] { return modules("pooling"); }},
      {"layers", "parts that models are made of", [] { return modules("layer"); }},
      {"losses", "what is minimised", [] { return modules("loss"); }},
      {"datasets", "what a recipe's `data: {type: NAME}` can be", datasets},
      {"tasks", "what a recipe's `task: {type: NAME}` can be", tasks},
      {"recipes", "recipes that come with heed", recipe_items},
  };
  return all;
}

std::string names_of(const std::vector<Item>& items) {
  std::string names;
  for (const Item& item : items) names += (names.empty() ? "" : ", ") + item.name;
  return names;
}

void list_all() {
  Table table({"", "", ""}, {1});
  for (const Kind& kind : kinds()) {
    const std::vector<Item> items = kind.items();
    table.row(
        {kind.name, fmt::format("{}", items.size()), items.empty() ? "none yet" : names_of(items)});
  }
  fmt::print("{}\n`heed list NAME` says what each is, `heed list NAME --json` for programs.\n",
             table.to_string());
}

void list_kind(const Kind& kind) {
  const std::vector<Item> items = kind.items();
  fmt::print("{}: {}\n", kind.name, kind.summary);
  if (items.empty()) fmt::print("  none yet\n");
  Table table;
  for (const Item& item : items) {
    std::vector<std::string> cells = {item.name};
    if (!item.state.empty()) cells.push_back(item.state);
    cells.push_back(item.summary + (item.source.empty() ? "" : " [" + item.source + "]"));
    table.row(cells);
  }
  fmt::print("{}", table.to_string());
}

Config to_config(const std::vector<Item>& items) {
  Config list = Config::list();
  for (const Item& item : items) {
    Config entry = Config::map();
    entry.set("name", item.name);
    entry.set("summary", item.summary);
    if (!item.source.empty()) entry.set("source", item.source);
    if (!item.state.empty()) entry.set("state", item.state);
    for (const auto& [key, value] : item.more) entry.set(key, value);
    list.append(entry);
  }
  return list;
}

void list(const std::string& name, bool json) {
  if (name.empty() && !json) return list_all();
  Config document = Config::map();
  std::vector<std::string> names;
  for (const Kind& kind : kinds()) {
    names.push_back(kind.name);
    if (kind.name == name && !json) return list_kind(kind);
    if (name.empty() || kind.name == name) document.set(kind.name, to_config(kind.items()));
  }
  if (document.is_map() && !name.empty() && !document.has(name)) {
    fail_request("list: there are no '{}'{}", name, did_you_mean(name, names));
  }
  print_json(document);
}

}  // namespace

void add_list(CLI::App& heed) {
  struct Arguments {
    std::string kind;
    bool json = false;
  };
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command =
      add_command(heed, "list", "shows the models, layers, datasets, tasks and recipes there are",
                  "what there is");
  positional(command, "KIND", arguments->kind,
             "papers, claims, comparisons, models, attentions, poolings, layers, losses, datasets, "
             "tasks or "
             "recipes; all in short when left out");
  command->add_flag("--json", arguments->json, "print one JSON document");
  examples(command, {{"heed list", ""}, {"heed list layers", ""}});
  command->callback([arguments] { list(arguments->kind, arguments->json); });
}

}  // namespace heed::tools
