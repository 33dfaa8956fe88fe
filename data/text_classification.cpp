#include "data/text_classification.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <set>

#include "core/files.h"
#include "data/text_source.h"

namespace heed::data {
namespace {

std::vector<std::string_view> views(const std::vector<LabelledText>& texts) {
  std::vector<std::string_view> all;
  for (const LabelledText& text : texts) all.emplace_back(text.text);
  return all;
}

std::unique_ptr<Tokenizer> make_tokenizer(const ExampleTokenizerOptions& options,
                                          const LabelledTexts& texts, const SourceLocation& where) {
  std::vector<std::string_view> held_out = views(texts.validation);
  const std::vector<std::string_view> test = views(texts.test);
  held_out.insert(held_out.end(), test.begin(), test.end());
  return make_example_tokenizer(options, views(texts.train), held_out, where);
}

// Token ids of the texts of a part, end to end.
struct Examples {
  std::vector<TokenId> ids;
  std::vector<int64_t> begins = {0};
  std::vector<int64_t> labels;
};

class TextExamples : public LabelledDataset {
 public:
  TextExamples(const LabelledTexts& texts, std::vector<std::string> class_names,
               const LabelledTextOptions& options, const SourceLocation& where) {
    class_names_ = std::move(class_names);
    tokenizer_ = make_tokenizer(options.tokenizer, texts, where);
    const std::vector<LabelledText>* lists[] = {&texts.train, &texts.validation, &texts.test};
    for (size_t p = 0; p < 3; ++p) {
      for (const LabelledText& text : *lists[p]) add(text, options.max_length, parts_[p]);
    }
    summary_ = fmt::format(
        "{} texts for training, {} for validation, {} for testing; {} classes; "
        "tokenizer {} of {}",
        size(Part::train), size(Part::validation), size(Part::test), classes(), tokenizer_->type(),
        tokenizer_->vocab_size());
  }

  const char* kind() const override { return "texts"; }
  int64_t size(Part part) const override { return static_cast<int64_t>(of(part).labels.size()); }
  int64_t label(Part part, int64_t example) const override {
    return of(part).labels.at(static_cast<size_t>(example));
  }
  Shape example_shape() const override { return {longest_}; }
  const Tokenizer* tokenizer() const override { return tokenizer_.get(); }

  LabelledBatch gather(Part part, std::span<const ExampleRow> rows) const override {
    const Examples& examples = of(part);
    const auto count = static_cast<int64_t>(rows.size());
    int64_t longest = 1;
    for (const ExampleRow& row : rows) longest = std::max(longest, length(examples, row.example));
    TextBatch batch;
    batch.ids = Tensor::full({count, longest}, static_cast<double>(padding()), DType::i64);
    batch.lengths = Tensor::empty({count}, DType::i64);
    batch.labels = Tensor::empty({count}, DType::i64);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t example = rows[static_cast<size_t>(i)].example;
      batch.lengths.data<int64_t>()[i] = length(examples, example);
      batch.labels.data<int64_t>()[i] = example < 0 ? kIgnoreTarget : label(part, example);
      if (example < 0) continue;
      ++batch.count;
      std::copy_n(examples.ids.begin() + examples.begins[static_cast<size_t>(example)],
                  length(examples, example), batch.ids.data<int64_t>() + i * longest);
    }
    return batch;
  }

 private:
  const Examples& of(Part part) const { return parts_[static_cast<size_t>(part)]; }

  static int64_t length(const Examples& examples, int64_t example) {
    if (example < 0) return 1;
    HEED_CHECK(example < static_cast<int64_t>(examples.labels.size()), "texts: example {} of {}",
               example, examples.labels.size());
    const auto i = static_cast<size_t>(example);
    return examples.begins[i + 1] - examples.begins[i];
  }

  void add(const LabelledText& text, int64_t max_length, Examples& examples) {
    HEED_CHECK(text.label >= 0 && text.label < classes(), "texts: label {} of {} classes",
               text.label, classes());
    std::vector<TokenId> ids = tokenizer_->encode_framed(text.text, max_length).ids;
    if (ids.empty()) ids.push_back(static_cast<TokenId>(padding()));
    longest_ = std::max(longest_, static_cast<int64_t>(ids.size()));
    examples.ids.insert(examples.ids.end(), ids.begin(), ids.end());
    examples.begins.push_back(static_cast<int64_t>(examples.ids.size()));
    examples.labels.push_back(text.label);
  }

  std::unique_ptr<Tokenizer> tokenizer_;
  Examples parts_[3];
  int64_t longest_ = 1;
};

// A row of a table as its label and text.
struct Row {
  std::string label, text;
  SourceLocation where;
};

std::vector<Row> read_rows(const std::vector<std::string>& patterns,
                           const TextTableOptions& options, const SourceLocation& where) {
  std::vector<std::string> columns = {options.label};
  columns.insert(columns.end(), options.text.begin(), options.text.end());
  std::vector<Row> rows;
  for (TableRow& read :
       read_table(patterns, columns, options.table, options.texts.encoding, where)) {
    Row row{std::move(read.fields[0]), std::move(read.fields[1]), read.where};
    for (size_t i = 2; i < read.fields.size(); ++i) {
      if (!row.text.empty()) row.text += ' ';
      row.text += read.fields[i];
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

std::vector<std::string> classes_of(const std::vector<Row>& rows) {
  std::set<std::string> labels;
  for (const Row& row : rows) labels.insert(row.label);
  std::vector<std::string> names(labels.begin(), labels.end());
  const auto number = [](const std::string& name) {
    double value = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), value);
    const bool whole = error == std::errc() && end == name.data() + name.size();
    return std::pair(whole && std::isfinite(value), value);
  };
  if (std::all_of(names.begin(), names.end(), [&](const auto& n) { return number(n).first; })) {
    std::stable_sort(names.begin(), names.end(), [&](const auto& a, const auto& b) {
      return number(a).second < number(b).second;
    });
  }
  return names;
}

std::vector<LabelledText> with_classes(std::vector<Row> rows,
                                       const std::vector<std::string>& classes) {
  std::vector<LabelledText> texts;
  for (Row& row : rows) {
    const auto found = std::find(classes.begin(), classes.end(), row.label);
    if (found == classes.end()) {
      fail_request(row.where, fmt::format("the training rows have no label '{}'{}", row.label,
                                          did_you_mean(row.label, classes)));
    }
    texts.push_back({std::move(row.text), found - classes.begin()});
  }
  return texts;
}

}  // namespace

void LabelledTextOptions::options(Options& o) {
  o.field("tokenizer", tokenizer, "how text becomes tokens");
  o.field("max_length", max_length, "tokens of a text; longer ones lose their end", {.min = 1});
  encoding_option(o, encoding);
  held_out.options(o);
  o.field("classes", classes, "names of the classes in their order");
}

void TextTableOptions::options(Options& o) {
  o.field("train", train, "files or glob patterns; ${NAME} is an environment variable",
          {.required = true});
  o.field("validation", validation, "files of the validation part");
  o.field("test", test, "files of the test part");
  table.options(o);
  o.field("label", label, "the label's column: a number from 0, or a name");
  o.field("text", text, "the text's columns, joined by a space");
  o.check(!text.empty(), "text", "text needs one column at least");
  texts.options(o);
}

void SentencesOptions::options(Options& o) {
  o.field("files", files, "one file a class, one text a line", {.required = true});
  o.check(files.size() >= 2, "files", "two files or more are needed: one a class");
  texts.options(o);
}

std::unique_ptr<LabelledDataset> make_labelled_texts(LabelledTexts texts,
                                                     std::vector<std::string> class_names,
                                                     const LabelledTextOptions& options,
                                                     const SourceLocation& where) {
  hold_out(texts.train, texts.validation, texts.test, options.held_out);
  if (texts.train.empty()) fail_request(where, "there are no texts to train on");
  if (!options.classes.empty()) {
    if (options.classes.size() != class_names.size()) {
      fail_request(where, fmt::format("{} names for {} classes", options.classes.size(),
                                      class_names.size()));
    }
    class_names = options.classes;
  }
  return std::make_unique<TextExamples>(texts, std::move(class_names), options, where);
}

std::unique_ptr<LabelledDataset> open_text_table(const TextTableOptions& options,
                                                 const SourceLocation& where) {
  std::vector<Row> train = read_rows(options.train, options, where);
  const std::vector<std::string> classes = classes_of(train);
  return make_labelled_texts({with_classes(std::move(train), classes),
                              with_classes(read_rows(options.validation, options, where), classes),
                              with_classes(read_rows(options.test, options, where), classes)},
                             classes, options.texts, where);
}

std::unique_ptr<LabelledDataset> open_sentences(const SentencesOptions& options,
                                                const SourceLocation& where) {
  LabelledTexts texts;
  std::vector<std::string> classes;
  for (const std::string& name : options.files) {
    const std::string path = expand_path(name, where);
    const std::string text = decode_text(read_file(path), options.texts.encoding);
    for (size_t at = 0; at < text.size();) {
      const size_t end = std::min(text.find('\n', at), text.size());
      std::string line = text.substr(at, end - at);
      at = end + 1;
      if (line.ends_with('\r')) line.pop_back();
      if (line.find_first_not_of(" \t") == line.npos) continue;
      texts.train.push_back({std::move(line), static_cast<int64_t>(classes.size())});
    }
    classes.push_back(std::filesystem::path(path).filename().string());
  }
  return make_labelled_texts(std::move(texts), std::move(classes), options.texts, where);
}

}  // namespace heed::data
