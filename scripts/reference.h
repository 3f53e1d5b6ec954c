/*
 * `mullion-config reference`: the table that drives parsing, as Markdown.
 */
#pragma once

#include <stdio.h>

void reference_print(FILE *out);
