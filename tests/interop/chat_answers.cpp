// The C++ half of tests/interop/chat_check.py.
#include <gtest/gtest.h>

#include "core/files.h"
#include "data/chat/template.h"
#include "tests/data/some_day.h"
#include "tests/interop/answers.h"

namespace heed::data::chat {
namespace {

// chats.json: [{"template", "variables", "text": null where jinja2 refuses}, ...]
TEST(ChatInterop, WritesAsJinjaDoes) {
  const std::string path = interop::folder() + "/chats.json";
  const Config cases = parse_json(read_file(path), path);
  interop::Answers answers;
  for (const Config& entry : cases.as_list()) {
    const Config& wanted = entry.at("text");
    Template::Variables variables;
    for (const auto& [name, value] : entry.at("variables").as_map()) {
      variables.emplace_back(name, Value::from(value));
    }
    const std::string& source = entry.at("template").as_string();
    try {
      const std::string text = Template(source, "t").render(variables, some_day());
      EXPECT_TRUE(answers.note(Config(text) == wanted)) << source << "\n"
                                                        << text << "\n"
                                                        << wanted.to_json();
    } catch (const RequestError& error) {
      EXPECT_TRUE(answers.note(wanted.is_null())) << source << "\n" << error.what();
    }
  }
}

}  // namespace
}  // namespace heed::data::chat
