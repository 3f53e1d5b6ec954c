/*
 * The verb "refuse": see refuse.h. Pure, called from every room at boot.
 */
#include "hv/refuse.h"
#include "hv/lib/printf.h"

bool refuse(struct refusal *r, const char *fmt, ...)
{
	if (!r->text[0]) {
		va_list ap;

		va_start(ap, fmt);
		fmt_vprint(r->text, sizeof(r->text), fmt, ap);
		va_end(ap);
	}
	return false;
}
