// The documents say what the program does: the field tables of docs/recipes.md are those of
// `heed schema`, the modules of docs/modules.md and the papers of docs/papers.md those of `heed
// list`, commands in README.md parse,
// and its example is the one that is built.
//
// After a change of options or modules, HEED_UPDATE_DOCS=1 build/test_tools --gtest_filter=Docs.*
// rewrites the tables.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <sstream>

#include "heed_command.h"
#include "nn/registry.h"

namespace heed::tools {
namespace {

using nlohmann::ordered_json;
using ::testing::HasSubstr;

constexpr const char* kDocuments[] = {
    "README.md",       "docs/architecture.md", "docs/recipes.md", "docs/modules.md",
    "docs/interop.md", "docs/parallelism.md",  "docs/papers.md",  "docs/adding-a-paper.md"};

std::string slurp(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.is_open()) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string type_of(const ordered_json& field) {
  if (field.contains("enum")) {
    std::string names;
    for (const auto& value : field["enum"]) {
      if (value.is_string())
        names += (names.empty() ? "`" : ", `") + value.get<std::string>() + "`";
    }
    return names;
  }
  const ordered_json& type = field["type"];
  std::string name = type.is_array() ? type[0].get<std::string>() : type.get<std::string>();
  if (name == "object") return "map";
  if (name == "boolean") return "true or false";
  if (name == "array") return "list of " + type_of(field["items"]);
  std::string limits;
  const auto add = [&](const char* key, const char* sign) {
    if (field.contains(key))
      limits += std::string(limits.empty() ? " " : ", ") + sign + " " + field[key].dump();
  };
  add("minimum", "≥");
  add("exclusiveMinimum", ">");
  add("maximum", "≤");
  add("exclusiveMaximum", "<");
  return name + limits;
}

std::string default_of(const ordered_json& field) {
  if (!field.contains("default")) return "";
  const ordered_json& value = field["default"];
  if (value.is_null()) return "";
  if (value.is_object()) {
    std::string text;
    for (const auto& [key, item] : value.items()) {
      text += (text.empty() ? "" : ", ") + key + ": " +
              (item.is_string() ? item.get<std::string>() : item.dump());
    }
    return "`{" + text + "}`";
  }
  if (value.is_string()) return value == "" ? "" : "`" + value.get<std::string>() + "`";
  return "`" + value.dump() + "`";
}

bool is_required(const ordered_json& object, const std::string& name) {
  if (!object.contains("required")) return false;
  const ordered_json& names = object["required"];
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Rows of an object's fields; those of nested maps and of lists of maps follow with dotted names.
void add_rows(const ordered_json& object, const std::string& prefix, std::string& rows) {
  for (const auto& [name, field] : object["properties"].items()) {
    if (field.contains("const") || !field.contains("type")) continue;
    const bool nested = field.contains("properties");
    const bool items = field.contains("items") && field["items"].contains("properties");
    rows += "| `" + prefix + name + "` | " + (items ? "list of maps" : type_of(field)) + " | " +
            (is_required(object, name) ? "required"
             : nested || items         ? ""
                                       : default_of(field)) +
            " | " + field["description"].get<std::string>() + " |\n";
    if (nested) add_rows(field, prefix + name + ".", rows);
    if (items) add_rows(field["items"], prefix + name + "[].", rows);
  }
}

std::string table_of(const ordered_json& object) {
  std::string table = "| field | type | default | meaning |\n|---|---|---|---|\n";
  add_rows(object, "", table);
  return table;
}

/// Section name ("recipe" itself, "train", "models.gpt") -> its table.
std::map<std::string, std::string> tables_of(const ordered_json& schema) {
  std::map<std::string, std::string> tables;
  ordered_json top;
  for (const auto& [name, field] : schema["properties"].items()) {
    if (name == "extends") continue;  // explained in the text
    if (field.contains("properties")) {
      tables[name] = table_of(field);
    } else {
      top["properties"][name] = field;
    }
  }
  tables["recipe"] = table_of(top);
  for (const auto& [name, object] : schema["$defs"].items()) tables[name] = table_of(object);
  return tables;
}

/// A stretch of a document that is generated: "<!-- fields: NAME -->" to "<!-- end of fields -->"
/// ("modules" in docs/modules.md). NAME is a section, or "datasets.*" for all of those that have no
/// place of their own.
struct Region {
  std::string name;
  size_t begin, end;
};

std::vector<Region> regions_of(const std::string& document, const std::string& what) {
  const std::string open = "<!-- " + what + ": ", close = "<!-- end of " + what + " -->";
  std::vector<Region> regions;
  for (size_t at = 0; (at = document.find(open, at)) != std::string::npos;) {
    const size_t name_end = document.find(" -->\n", at);
    const size_t end = document.find(close, at);
    if (name_end == std::string::npos || end == std::string::npos || end < name_end) {
      ADD_FAILURE() << "a region of " << what << " is not closed";
      break;
    }
    regions.push_back(
        {document.substr(at + open.size(), name_end - at - open.size()), name_end + 5, end});
    at = end;
  }
  return regions;
}

/// "#### `type: webdataset`", its summary and table.
std::string subsection(const std::string& name, const ordered_json& object,
                       const std::string& table) {
  const std::string type = name.substr(name.find('.') + 1);
  const std::string summary = object.value("description", "");
  return "\n#### `type: " + type + "`\n\n" + (summary.empty() ? "" : summary + "\n\n") + table;
}

/// Expects of every region the contents of its name, or writes them where HEED_UPDATE_DOCS is set.
void check_regions(const std::string& path, const std::string& document,
                   const std::vector<Region>& regions,
                   std::map<std::string, std::string>& contents) {
  std::string updated = document;
  for (auto region = regions.rbegin(); region != regions.rend(); ++region) {
    updated.replace(region->begin, region->end - region->begin, contents[region->name]);
  }
  if (updated == document) return;
  if (std::getenv("HEED_UPDATE_DOCS") != nullptr) {
    std::ofstream(path, std::ios::binary) << updated;
    return;
  }
  for (const Region& region : regions) {
    EXPECT_EQ(document.substr(region.begin, region.end - region.begin), contents[region.name])
        << path << ", " << region.name
        << ": HEED_UPDATE_DOCS=1 build/test_tools --gtest_filter='Docs.*' writes it";
  }
}

class Docs : public CommandTest {};

TEST_F(Docs, RecipeTablesAreThoseOfTheSchema) {
  const Outcome outcome = heed({"schema"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const ordered_json schema = ordered_json::parse(outcome.out);
  std::map<std::string, std::string> tables = tables_of(schema);
  const std::string path = source_path("docs/recipes.md");
  const std::string document = slurp(path);
  const std::vector<Region> regions = regions_of(document, "fields");

  std::map<std::string, std::string> contents;
  for (const Region& region : regions) {
    if (region.name.ends_with(".*")) continue;
    ASSERT_TRUE(tables.contains(region.name)) << "docs/recipes.md: no section is " << region.name;
    contents[region.name] = tables[region.name];
    tables.erase(region.name);
  }
  for (const Region& region : regions) {
    if (!region.name.ends_with(".*")) continue;
    const std::string prefix = region.name.substr(0, region.name.size() - 1);
    std::string& content = contents[region.name];
    for (auto table = tables.lower_bound(prefix);
         table != tables.end() && table->first.starts_with(prefix); table = tables.erase(table)) {
      content += subsection(table->first, schema["$defs"][table->first], table->second);
    }
    content += '\n';
  }
  for (const auto& [name, table] : tables) {
    ADD_FAILURE() << "docs/recipes.md has no place for the section " << name;
  }

  check_regions(path, document, regions, contents);
}

/// "`x`, `lengths` (optional)".
std::string inputs_of(const nn::ModuleEntry& entry) {
  std::string text;
  for (const std::string& name : entry.inputs) {
    const bool optional = name.ends_with('?');
    text += (text.empty() ? "`" : ", `") + name.substr(0, name.size() - (optional ? 1 : 0)) + "`" +
            (optional ? " (optional)" : "");
  }
  return text;
}

/// "`in`, `bias` `true`": each option's name and what it is when not given.
std::string options_of(const nn::ModuleEntry& entry) {
  const ordered_json schema = ordered_json::parse(entry.schema().to_json());
  std::string text;
  for (const auto& [name, field] : schema["properties"].items()) {
    const std::string value = is_required(schema, name) ? "" : default_of(field);
    text += (text.empty() ? "`" : ", `") + name + "`" + (value.empty() ? "" : " " + value);
  }
  return text;
}

TEST_F(Docs, ModuleTablesAreThoseOfTheRegistry) {
  const std::string path = source_path("docs/modules.md");
  const std::string document = slurp(path);
  const std::vector<Region> regions = regions_of(document, "modules");
  std::map<std::string, std::string> contents;
  for (const char* kind : {"layers", "losses", "attentions", "poolings", "models"}) {
    const Outcome outcome = heed({"list", kind, "--json"});
    ASSERT_EQ(outcome.status, 0) << outcome.err;
    const ordered_json items = ordered_json::parse(outcome.out)[kind];
    EXPECT_FALSE(items.empty()) << kind;
    const std::string kinds = kind;
    const bool part = kinds == "layers" || kinds == "losses";  // the others are in recipes.md
    std::string& table = contents[kind];
    table = part ? "| name | what it is | inputs | options | source |\n|---|---|---|---|---|\n"
                 : "| name | what it is | source |\n|---|---|---|\n";
    for (const auto& item : items) {
      const std::string name = item["name"].get<std::string>();
      table += "| `" + name + "` | " + item["summary"].get<std::string>() + " | ";
      if (part) {
        const auto& entry = nn::find_module(name, kinds == "layers" ? "layer" : "loss");
        table += inputs_of(entry) + " | " + options_of(entry) + " | ";
      }
      table += item.value("source", "") + " |\n";
    }
    EXPECT_TRUE(std::any_of(regions.begin(), regions.end(),
                            [&](const Region& region) { return region.name == kind; }))
        << "docs/modules.md has no place for the " << kind;
  }
  for (const Region& region : regions) {
    EXPECT_TRUE(contents.contains(region.name)) << "docs/modules.md: no kind is " << region.name;
  }
  check_regions(path, document, regions, contents);
}

std::string joined(const ordered_json& texts, const char* between = ", ") {
  std::string all;
  for (const auto& text : texts) all += (all.empty() ? "" : between) + text.get<std::string>();
  return all;
}

/// A claim's numbers as a section of docs/papers.md.
std::string result_section(const ordered_json& paper) {
  const std::string slug = paper["name"].get<std::string>(), folder = "recipes/" + slug;
  const ordered_json result =
      ordered_json::parse(slurp(source_path(folder + "/claim.result.json")));
  std::string text =
      "\n### " + slug + "\n\n**" + paper["state"].get<std::string>() +
      "**: " + result["title"].get<std::string>() + " (" + result["paper"].get<std::string>() +
      "). " + std::to_string(result["seeds"].get<int>()) + " seeds an arm; `" +
      result["command"].get<std::string>() + "`; [more](../" + folder + "/README.md).\n\n";
  text += "| " + result["metric"]["name"].get<std::string>() + " |";
  std::string line = "\n|---|";
  for (const auto& point : result["points"]) {
    text += " " + point["name"].get<std::string>() + " |";
    line += "---|";
  }
  text += line + "\n";
  for (const auto& arm : result["arms"]) {
    text += "| " + arm["name"].get<std::string>() + " |";
    for (const auto& point : arm["points"]) {
      text += point["mean"].is_null()
                  ? " |"
                  : fmt::format(" {:.3f} ± {:.3f} |", point["mean"].get<double>(),
                                point["deviation"].get<double>());
    }
    text += "\n";
  }
  text += "\n| what must hold | improvement | 95% interval | |\n|---|---|---|---|\n";
  for (const auto& relation : result["relations"]) {
    const ordered_json& interval = relation["interval"];
    text += "| " + relation["text"].get<std::string>() +
            fmt::format(" | {:.3f} | ", relation["effect"].get<double>()) +
            (interval[0].is_null() ? ""
                                   : fmt::format("{:.3f} to {:.3f}", interval[0].get<double>(),
                                                 interval[1].get<double>())) +
            " | " + relation["verdict"].get<std::string>() + " |\n";
  }
  if (std::filesystem::exists(source_path(folder + "/claim.svg")))
    text += "\n![" + slug + "](../" + folder + "/claim.svg)\n";
  return text;
}

TEST_F(Docs, PapersAreThoseOfTheListAndTheirResults) {
  const Outcome outcome = heed({"list", "papers", "--json"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const ordered_json papers = ordered_json::parse(outcome.out)["papers"];
  EXPECT_EQ(papers.size(), 45u);
  const std::string path = source_path("docs/papers.md");
  const std::string document = slurp(path);
  std::map<std::string, std::string> contents;
  std::string& table = contents["table"];
  table = "| paper | year | kind | what it is | state | modules |\n|---|---|---|---|---|---|\n";
  for (const auto& paper : papers) {
    const std::string slug = paper["name"].get<std::string>();
    const bool folder = !paper["recipes"].empty();
    table +=
        "| " + (folder ? "[" + slug + "](../recipes/" + slug + "/README.md)" : slug) + ": [" +
        paper["title"].get<std::string>() + "](https://arxiv.org/abs/" +
        paper["arxiv"][0].get<std::string>() + ") | " + std::to_string(paper["year"].get<int>()) +
        " | " + joined(paper["kinds"]) + " | " + paper["summary"].get<std::string>() + " | " +
        (paper["claim"].is_null() ? paper["state"].get<std::string>()
                                  : "**" + paper["state"].get<std::string>() + "**") +
        " | " + (paper["modules"].empty() ? "" : "`" + joined(paper["modules"], "`, `") + "`") +
        " |\n";
    if (!paper["claim"].is_null()) contents["results"] += result_section(paper);
  }
  if (!contents["results"].empty()) contents["results"] += "\n";
  check_regions(path, document, regions_of(document, "papers"), contents);
}

// A folder of recipes is a listed paper's, or `base`.
TEST_F(Docs, FoldersOfRecipesBelongToListedPapers) {
  const ordered_json papers = ordered_json::parse(heed({"list", "papers", "--json"}).out)["papers"];
  for (const auto& entry : std::filesystem::directory_iterator(source_path("recipes"))) {
    const std::string name = entry.path().filename().string();
    if (!entry.is_directory() || name == "base" || name == "engine") continue;
    EXPECT_TRUE(std::any_of(papers.begin(), papers.end(),
                            [&](const ordered_json& paper) { return paper["name"] == name; }))
        << "recipes/" << name << ": recipes/papers.yaml does not know it";
  }
}

// What a document shows as a command's output is that ("<!-- output: plan --paper -->").
TEST_F(Docs, OutputsShownAreThoseOfTheCommands) {
  const std::string path = source_path("docs/parallelism.md");
  const std::string document = slurp(path);
  const std::vector<Region> regions = regions_of(document, "output");
  EXPECT_FALSE(regions.empty());
  std::map<std::string, std::string> contents;
  for (const Region& region : regions) {
    std::istringstream words(region.name);
    const Outcome outcome = heed({std::istream_iterator<std::string>(words), {}});
    ASSERT_EQ(outcome.status, 0) << region.name << ": " << outcome.err;
    contents[region.name] = outcome.out;
  }
  check_regions(path, document, regions, contents);
}

TEST_F(Docs, ReadmeShowsTheExampleThatIsBuilt) {
  EXPECT_THAT(slurp(source_path("README.md")),
              HasSubstr("```cpp\n" + slurp(source_path("examples/library/main.cpp")) + "```"));
}

// What tools/setup installs is what README.md says the project stands on.
TEST_F(Docs, ReadmeNamesEveryPackage) {
  const std::string script = slurp(source_path("tools/setup"));
  const std::string readme = slurp(source_path("README.md"));
  const size_t begin = script.find("packages=(") + 10;
  std::istringstream lines(script.substr(begin, script.find("\n)", begin) - begin));
  int packages = 0;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line.substr(0, line.find('#')));
    for (std::string package; words >> package; ++packages) {
      EXPECT_THAT(readme, HasSubstr("`" + package + "`"));
    }
  }
  EXPECT_GT(packages, 10);
}

// Files that the documents link to are there.
TEST_F(Docs, LinksLeadToFiles) {
  for (const char* name : kDocuments) {
    const std::string text = slurp(source_path(name));
    const std::string folder = source_path(name).substr(0, source_path(name).rfind('/') + 1);
    const std::regex link(R"(\]\(([^)#:]+)\))");
    for (std::sregex_iterator match(text.begin(), text.end(), link), last; match != last; ++match) {
      const std::string target = folder + (*match)[1].str();
      EXPECT_TRUE(std::ifstream(target).is_open()) << name << ": " << target;
    }
  }
}

// A command that a document shows is one that exists, with options that exist.
TEST_F(Docs, CommandsShownAreKnown) {
  std::map<std::string, std::string> help;
  for (const char* name : kDocuments) {
    const std::string text = slurp(source_path(name));
    const std::regex line(R"((?:^|\n|`)(?:build/)?heed ([a-z]+)([^`\n]*))");
    for (std::sregex_iterator match(text.begin(), text.end(), line), last; match != last; ++match) {
      const std::string command = (*match)[1].str();
      if (!help.contains(command)) {
        const Outcome outcome = heed({command, "--help"});
        EXPECT_EQ(outcome.status, 0) << name << ": heed " << command;
        help[command] = outcome.out;
        if (command == "bench") {
          help[command] += heed({"bench", "step", "--help"}).out;
          help[command] += heed({"bench", "attention", "--help"}).out;
          help[command] += heed({"bench", "mechanism", "--help"}).out;
          help[command] += heed({"bench", "collectives", "--help"}).out;
          help[command] += heed({"bench", "device", "--help"}).out;
          help[command] += heed({"bench", "ops", "--help"}).out;
        }
      }
      const std::string rest = (*match)[2].str();
      const std::regex option(R"( (--[a-z-]+))");
      for (std::sregex_iterator found(rest.begin(), rest.end(), option), none; found != none;
           ++found) {
        EXPECT_THAT(help[command], HasSubstr((*found)[1].str())) << name << ": heed " << command;
      }
    }
  }
}

}  // namespace
}  // namespace heed::tools
