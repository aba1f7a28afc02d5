slm_test(run_options_test
  SOURCES tools/run_options_test.cc
  LINKS slm_run_options)
slm_test(line_test
  SOURCES tools/line_test.cc
  LINKS slm_line slm_run_text)
foreach(name chat_test chat_keys_test chat_thinking_test)
  add_test(NAME ${name}
    COMMAND python3 ${CMAKE_CURRENT_SOURCE_DIR}/tools/${name}.py
            $<TARGET_FILE:slm-run> ${CMAKE_CURRENT_SOURCE_DIR}/data/tiny-model)
endforeach()
add_test(NAME run_models_test
  COMMAND python3 ${CMAKE_CURRENT_SOURCE_DIR}/tools/run_models_test.py
          $<TARGET_FILE:slm-run> ${CMAKE_CURRENT_SOURCE_DIR}/data/tiny-model
          $<TARGET_FILE:slm-convert> $<TARGET_FILE:slm-bench>)
slm_test(bench_base_test
  SOURCES tools/bench_comparison_test.cc tools/bench_flags_test.cc
          tools/bench_prompts_test.cc
          tools/bench_result_test.cc
          tools/bench_soak_log_test.cc tools/bench_statistics_test.cc
          tools/bench_svg_test.cc
  LINKS slm_bench_base)
slm_test(bench_quality_test
  SOURCES tools/bench_quality_test.cc
  LINKS slm_bench_quality)
add_test(NAME bench_quality_cli_test
  COMMAND python3 ${CMAKE_CURRENT_SOURCE_DIR}/tools/bench_quality_test.py
          $<TARGET_FILE:slm-bench> ${CMAKE_CURRENT_SOURCE_DIR}/data/tiny-model
          ${CMAKE_CURRENT_SOURCE_DIR}/data/families/gemma2
          ${CMAKE_CURRENT_SOURCE_DIR}/data/quality/text.txt)
add_test(NAME bench_test
  COMMAND python3 ${CMAKE_CURRENT_SOURCE_DIR}/tools/bench_test.py
          $<TARGET_FILE:slm-bench>
          ${CMAKE_CURRENT_SOURCE_DIR}/data/tiny-model ${SLM_SHARED_DIR})
add_test(NAME bench_chat_test
  COMMAND python3 ${CMAKE_CURRENT_SOURCE_DIR}/tools/bench_chat_test.py
          $<TARGET_FILE:slm-bench>
          ${CMAKE_CURRENT_SOURCE_DIR}/data/tiny-model
          ${PROJECT_SOURCE_DIR}/tools/demo/model)
add_test(NAME bench_gate_test
  COMMAND python3 ${CMAKE_CURRENT_SOURCE_DIR}/tools/bench_gate_test.py
          $<TARGET_FILE:slm-bench>
          ${CMAKE_CURRENT_SOURCE_DIR}/data/tiny-model)
add_test(NAME bench_compare_test
  COMMAND python3 ${CMAKE_CURRENT_SOURCE_DIR}/tools/bench_compare_test.py
          $<TARGET_FILE:slm-bench>
          ${CMAKE_CURRENT_SOURCE_DIR}/data/tiny-model)
add_test(NAME bench_soak_test
  COMMAND python3 ${CMAKE_CURRENT_SOURCE_DIR}/tools/bench_soak_test.py
          $<TARGET_FILE:slm-bench>
          ${CMAKE_CURRENT_SOURCE_DIR}/data/tiny-model)
add_test(NAME convert_test
  COMMAND python3 ${CMAKE_CURRENT_SOURCE_DIR}/tools/convert_test.py
          $<TARGET_FILE:slm-convert> $<TARGET_FILE:slm-run>
          ${CMAKE_CURRENT_SOURCE_DIR}/data/tiny-model)
add_test(NAME convert_families_test
  COMMAND python3 ${CMAKE_CURRENT_SOURCE_DIR}/tools/convert_families_test.py
          $<TARGET_FILE:slm-convert> $<TARGET_FILE:slm-inspect>
          ${CMAKE_CURRENT_SOURCE_DIR}/data/tiny-model)
add_test(NAME convert_packed_test
  COMMAND python3 ${CMAKE_CURRENT_SOURCE_DIR}/tools/convert_packed_test.py
          $<TARGET_FILE:slm-convert> $<TARGET_FILE:slm-inspect>
          ${CMAKE_CURRENT_SOURCE_DIR}/data/tiny-model)
add_test(NAME convert_references_test
  COMMAND ${SLM_TEST_PYTHON}
          ${CMAKE_CURRENT_SOURCE_DIR}/tools/convert_references_test.py
          $<TARGET_FILE:slm-convert> $<TARGET_FILE:slm-inspect>
          ${CMAKE_CURRENT_SOURCE_DIR}/data)
add_test(NAME convert_gguf_test
  COMMAND python3 ${CMAKE_CURRENT_SOURCE_DIR}/tools/convert_gguf_test.py
          $<TARGET_FILE:slm-convert> $<TARGET_FILE:slm-inspect>
          ${CMAKE_CURRENT_SOURCE_DIR}/data/tiny-model ${SLM_SHARED_DIR})
add_test(NAME convert_real_runtimes_test
  COMMAND ${SLM_TEST_PYTHON}
          ${CMAKE_CURRENT_SOURCE_DIR}/tools/convert_real_runtimes_test.py
          $<TARGET_FILE:slm-convert>
          ${CMAKE_CURRENT_SOURCE_DIR}/data/tiny-model)
set_tests_properties(convert_real_runtimes_test PROPERTIES
  SKIP_REGULAR_EXPRESSION "^skipped: ")
slm_test(convert_precision_test
  SOURCES tools/convert_precision_test.cc
  LINKS slm_convert)
slm_test(self_check_test
  SOURCES tools/self_check_test.cc
  LINKS slm_convert)
add_test(NAME convert_check_test
  COMMAND python3 ${CMAKE_CURRENT_SOURCE_DIR}/tools/convert_check_test.py
          $<TARGET_FILE:slm-convert>
          ${CMAKE_CURRENT_SOURCE_DIR}/data/tiny-model)
add_test(NAME convert_calibration_test
  COMMAND python3 ${CMAKE_CURRENT_SOURCE_DIR}/tools/convert_calibration_test.py
          $<TARGET_FILE:slm-convert> ${CMAKE_CURRENT_SOURCE_DIR}/data/tiny-model)

# ONNX sources, beside onnxruntime's quantizer; SLM_TEST_PYTHON: tests/ops.
if(SLM_TEST_PYTHON)
  add_test(NAME convert_onnx_test
    COMMAND ${SLM_TEST_PYTHON}
            ${CMAKE_CURRENT_SOURCE_DIR}/tools/convert_onnx_test.py
            $<TARGET_FILE:slm-convert> $<TARGET_FILE:slm-run>
            ${CMAKE_CURRENT_SOURCE_DIR}/data/tiny-model ${SLM_SHARED_DIR})
  set_tests_properties(convert_onnx_test PROPERTIES
    SKIP_REGULAR_EXPRESSION "^skipped: ")
endif()
add_test(NAME convert_olive_test
  COMMAND python3 ${CMAKE_CURRENT_SOURCE_DIR}/tools/convert_olive_test.py
          $<TARGET_FILE:slm-convert> ${CMAKE_CURRENT_SOURCE_DIR}/data/tiny-model)
add_test(NAME tutorial_test
  COMMAND python3 ${CMAKE_CURRENT_SOURCE_DIR}/tools/tutorial_test.py
          $<TARGET_FILE:slm-convert> $<TARGET_FILE:slm-run>
          $<TARGET_FILE:slm-bench> ${PROJECT_SOURCE_DIR}/tools/demo/model
          ${SLM_SHARED_DIR})
# Installs and packs what is built; a sanitizer's runtime is no part of either.
if(NOT SLM_SANITIZE)
  add_test(NAME install_test
    COMMAND python3 ${CMAKE_CURRENT_SOURCE_DIR}/tools/install_test.py
            ${CMAKE_BINARY_DIR} ${PROJECT_SOURCE_DIR} ${CMAKE_COMMAND}
            ${CMAKE_C_COMPILER})
endif()
