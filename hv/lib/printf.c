/*
 * Formatted text without libc: see printf.h. Pure; called by the log, refuse() and the host tools.
 */
#include "hv/lib/printf.h"

struct sink {
	char *buf;
	size_t size;
	size_t len; /* characters the whole text has, stored or not */
};

struct spec {
	bool zero, wide; /* padded with zeros; an argument of 64 bits */
	int width;
	int precision; /* of a string; -1: none */
};

static void put(struct sink *s, char c)
{
	if (s->len + 1 < s->size) {
		s->buf[s->len] = c;
	}
	s->len++;
}

static void put_padded(struct sink *s, const struct spec *p, const char *text, int len)
{
	for (int i = len; i < p->width; i++) {
		put(s, ' ');
	}
	for (int i = 0; i < len; i++) {
		put(s, text[i]);
	}
}

static void put_integer(struct sink *s, const struct spec *p, uint64_t v, unsigned base,
			bool negative)
{
	char text[80];
	int at = sizeof(text);
	int min = p->zero ? p->width - negative : 1;

	min = min > 64 ? 64 : min;
	for (int n = 0; v || n < min; n++) {
		text[--at] = "0123456789abcdef"[v % base];
		v /= base;
	}
	if (negative) {
		text[--at] = '-';
	}
	put_padded(s, p, text + at, (int)sizeof(text) - at);
}

static int parse_number(const char **fmt)
{
	int n = 0;

	while (**fmt >= '0' && **fmt <= '9' && n < 10000) {
		n = n * 10 + (*(*fmt)++ - '0');
	}
	return n;
}

static void parse_spec(struct spec *p, const char **fmt, va_list *ap)
{
	*p = (struct spec){.zero = **fmt == '0', .precision = -1};
	p->width = parse_number(fmt);
	if (**fmt == '.') {
		(*fmt)++;
		p->precision = **fmt == '*' ? va_arg(*ap, int) : parse_number(fmt);
		*fmt += **fmt == '*';
	}
	while (**fmt == 'l') {
		(*fmt)++;
		p->wide = true;
	}
}

static void put_signed(struct sink *s, const struct spec *p, va_list *ap)
{
	int64_t v = p->wide ? va_arg(*ap, int64_t) : va_arg(*ap, int);

	put_integer(s, p, v < 0 ? 0 - (uint64_t)v : (uint64_t)v, 10, v < 0);
}

static void put_unsigned(struct sink *s, const struct spec *p, va_list *ap, unsigned base)
{
	put_integer(s, p, p->wide ? va_arg(*ap, uint64_t) : va_arg(*ap, unsigned), base, false);
}

static void put_string(struct sink *s, const struct spec *p, const char *text)
{
	int len = 0;

	text = text ? text : "(null)";
	while ((p->precision < 0 || len < p->precision) && text[len]) {
		len++;
	}
	put_padded(s, p, text, len);
}

static void put_conversion(struct sink *s, struct spec *p, char c, va_list *ap)
{
	switch (c) {
	case 'd': put_signed(s, p, ap); break;
	case 'u': put_unsigned(s, p, ap, 10); break;
	case 'x': put_unsigned(s, p, ap, 16); break;
	case 's': put_string(s, p, va_arg(*ap, const char *)); break;
	case 'c': put_padded(s, p, &(char){(char)va_arg(*ap, int)}, 1); break;
	case '%': put(s, '%'); break;
	default:
		put(s, '%');
		if (c) {
			put(s, c);
		}
	}
}

size_t fmt_vprint(char *buf, size_t size, const char *fmt, va_list ap_in)
{
	struct sink s = {buf, size, 0};
	struct spec p;
	va_list ap;

	va_copy(ap, ap_in);
	while (*fmt) {
		if (*fmt != '%') {
			put(&s, *fmt++);
			continue;
		}
		fmt++;
		parse_spec(&p, &fmt, &ap);
		put_conversion(&s, &p, *fmt, &ap);
		if (*fmt) {
			fmt++;
		}
	}
	va_end(ap);
	if (size) {
		buf[s.len < size ? s.len : size - 1] = 0;
	}
	return s.len;
}

size_t fmt_print(char *buf, size_t size, const char *fmt, ...)
{
	va_list ap;
	size_t n;

	va_start(ap, fmt);
	n = fmt_vprint(buf, size, fmt, ap);
	va_end(ap);
	return n;
}

void fmt_append(char *buf, size_t size, const char *fmt, ...)
{
	size_t len = 0;
	va_list ap;

	while (len < size && buf[len]) {
		len++;
	}
	va_start(ap, fmt);
	fmt_vprint(buf + len, size - len, fmt, ap);
	va_end(ap);
}
