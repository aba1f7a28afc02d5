slm_test(contrib_cases_test
  SOURCES ops/contrib_cases_test.cc ops/moe_test.cc
          ops/product_refusals_test.cc
  LINKS slm_ops)

slm_test(standard_ops_test
  SOURCES ops/standard_ops_test.cc
  LINKS slm_ops)

# ONNX's own node tests, written by PyPI onnx into the build tree before the
# runner starts. SLM_TEST_PYTHON names an interpreter that has it.
find_package(Python3 COMPONENTS Interpreter QUIET)
# tools/dev/test.sh makes this environment.
if(EXISTS ${PROJECT_SOURCE_DIR}/.deps/python/bin/python)
  set(Python3_EXECUTABLE ${PROJECT_SOURCE_DIR}/.deps/python/bin/python)
endif()
set(SLM_TEST_PYTHON "${Python3_EXECUTABLE}" CACHE FILEPATH
    "Python for tests that need PyPI packages; they skip where it lacks them")
set(SLM_NODE_TEST_DIR ${CMAKE_BINARY_DIR}/tests/node)
slm_test(ops_node_test
  SOURCES ops/node_test.cc LINKS slm_onnx slm_plan)
target_compile_definitions(ops_node_test PRIVATE
  SLM_NODE_TEST_DIR="${SLM_NODE_TEST_DIR}")
if(SLM_TEST_PYTHON)
  add_test(NAME ops_node_cases COMMAND ${SLM_TEST_PYTHON}
    ${CMAKE_CURRENT_SOURCE_DIR}/ops/make_node_tests.py ${SLM_NODE_TEST_DIR})
  add_test(NAME ops_contrib_cases COMMAND ${SLM_TEST_PYTHON}
    ${CMAKE_CURRENT_SOURCE_DIR}/ops/make_contrib_tests.py ${SLM_NODE_TEST_DIR})
  set_tests_properties(ops_contrib_cases PROPERTIES DEPENDS ops_node_cases)
  set_tests_properties(ops_node_cases ops_contrib_cases PROPERTIES
    FIXTURES_SETUP node_cases)
  set_tests_properties(ops_node_test PROPERTIES FIXTURES_REQUIRED node_cases)
endif()

slm_test(bound_attention_test
  SOURCES ops/bound_attention_test.cc
  LINKS slm_ops)
