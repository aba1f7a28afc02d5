slm_test(model_fixtures_test
  SOURCES end_to_end/model_fixtures_test.cc
  LINKS slm_runtime)
slm_test(tiny_model_test
  SOURCES end_to_end/tiny_model_test.cc
  LINKS slm_runtime)
slm_test(families_test
  SOURCES end_to_end/families_test.cc
  LINKS slm_runtime)
slm_test(bad_fixtures_test
  SOURCES end_to_end/bad_fixtures_test.cc
  LINKS slm_runtime)
add_test(NAME cli_test
  COMMAND python3 ${CMAKE_CURRENT_SOURCE_DIR}/end_to_end/cli_test.py
          $<TARGET_FILE:slm-run> $<TARGET_FILE:slm-inspect>
          ${CMAKE_CURRENT_SOURCE_DIR}/data/tiny-model)
slm_test(convert_fixtures_test
  SOURCES end_to_end/convert_fixtures_test.cc
  LINKS slm_convert)
slm_test(convert_formats_test
  SOURCES end_to_end/convert_formats_test.cc
  LINKS slm_convert)
set(SLM_FOUNDRY_PYTHON ${PROJECT_SOURCE_DIR}/.deps/foundry/bin/python
  CACHE FILEPATH "Python that has Foundry Local's SDK (tools/dev/test.sh)")
add_test(NAME convert_acceptance_test
  COMMAND ${SLM_TEST_PYTHON}
          ${CMAKE_CURRENT_SOURCE_DIR}/end_to_end/convert_acceptance_test.py
          $<TARGET_FILE:slm-convert> $<TARGET_FILE:slm-run>
          $<TARGET_FILE:slm-inspect> ${SLM_SHARED_DIR} ${SLM_FOUNDRY_PYTHON})
set_tests_properties(convert_acceptance_test PROPERTIES
  SKIP_REGULAR_EXPRESSION "^skipped: ")
slm_test(demo_model_test
  SOURCES end_to_end/demo_model_test.cc
  LINKS slm_runtime)
target_compile_definitions(demo_model_test PRIVATE
  SLM_DEMO_DIR="${PROJECT_SOURCE_DIR}/tools/demo")
# The questions are what the generator makes, and none of them is trained on.
add_test(NAME demo_corpus_test
  COMMAND python3 ${CMAKE_CURRENT_SOURCE_DIR}/end_to_end/demo_corpus_test.py
          ${PROJECT_SOURCE_DIR}/tools/demo)
# The README's picture shows what the chat says.
add_test(NAME chat_picture_test
  COMMAND python3 ${PROJECT_SOURCE_DIR}/tests/chat_picture.py
          $<TARGET_FILE:slm-run> ${PROJECT_SOURCE_DIR}/tools/demo/chat.svg
          --check)
