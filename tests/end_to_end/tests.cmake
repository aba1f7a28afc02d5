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
