slm_test(tokenizer_test
  SOURCES text/tokenizer_test.cc text/tokenizer_regex_test.cc
  LINKS slm_tokenizer)
slm_test(tokenizer_vectors_test
  SOURCES text/tokenizer_vectors_test.cc
  LINKS slm_tokenizer)
slm_test(template_test
  SOURCES text/template_fixture_test.cc text/template_fuzz_test.cc
          text/template_test.cc
  LINKS slm_text slm_json slm_json_value slm_core)
