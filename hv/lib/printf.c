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
	bool left, zero;
	int width;
	int precision; /* -1: none */
	unsigned bytes; /* size of the integer argument */
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
	for (int i = len; !p->left && i < p->width; i++) {
		put(s, ' ');
	}
	for (int i = 0; i < len; i++) {
		put(s, text[i]);
	}
	for (int i = len; p->left && i < p->width; i++) {
		put(s, ' ');
	}
}

static void put_integer(struct sink *s, const struct spec *p, uint64_t v, unsigned base,
			bool negative, const char *digits)
{
	char text[80];
	int at = sizeof(text);
	int min = p->precision;

	if (min < 0) {
		min = p->zero && !p->left ? p->width - negative : 1;
	}
	min = min > 64 ? 64 : min;
	for (int n = 0; v || n < min; n++) {
		text[--at] = digits[v % base];
		v /= base;
	}
	if (negative) {
		text[--at] = '-';
	}
	put_padded(s, p, text + at, (int)sizeof(text) - at);
}

static int parse_number(const char **fmt, va_list *ap)
{
	int n = 0;

	if (**fmt == '*') {
		(*fmt)++;
		return va_arg(*ap, int);
	}
	while (**fmt >= '0' && **fmt <= '9' && n < 10000) {
		n = n * 10 + (*(*fmt)++ - '0');
	}
	return n;
}

static void parse_spec(struct spec *p, const char **fmt, va_list *ap)
{
	*p = (struct spec){.precision = -1, .bytes = sizeof(int)};
	for (;; (*fmt)++) {
		if (**fmt == '-') {
			p->left = true;
		} else if (**fmt == '0') {
			p->zero = true;
		} else {
			break;
		}
	}
	p->width = parse_number(fmt, ap);
	if (**fmt == '.') {
		(*fmt)++;
		p->precision = parse_number(fmt, ap);
	}
	for (;; (*fmt)++) {
		if (**fmt == 'l' || **fmt == 'z') {
			p->bytes = 8;
		} else if (**fmt == 'h') {
			p->bytes /= 2;
		} else {
			break;
		}
	}
}

static void put_signed(struct sink *s, const struct spec *p, va_list *ap)
{
	int64_t v = p->bytes == 8 ? va_arg(*ap, int64_t) : va_arg(*ap, int);

	put_integer(s, p, v < 0 ? 0 - (uint64_t)v : (uint64_t)v, 10, v < 0, "0123456789");
}

static void put_unsigned(struct sink *s, const struct spec *p, va_list *ap, unsigned base,
			 const char *digits)
{
	uint64_t v = p->bytes == 8 ? va_arg(*ap, uint64_t) : va_arg(*ap, unsigned);

	if (p->bytes < 4) {
		v &= p->bytes == 2 ? 0xffff : 0xff;
	}
	put_integer(s, p, v, base, false, digits);
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
	char text[2] = {'%', c};

	switch (c) {
	case 'd':
	case 'i': put_signed(s, p, ap); break;
	case 'u': put_unsigned(s, p, ap, 10, "0123456789"); break;
	case 'x': put_unsigned(s, p, ap, 16, "0123456789abcdef"); break;
	case 'X': put_unsigned(s, p, ap, 16, "0123456789ABCDEF"); break;
	case 'p':
		p->bytes = 8;
		put_unsigned(s, p, ap, 16, "0123456789abcdef");
		break;
	case 's': put_string(s, p, va_arg(*ap, const char *)); break;
	case 'c':
		text[0] = (char)va_arg(*ap, int);
		put_padded(s, p, text, 1);
		break;
	case '%': put(s, '%'); break;
	default:
		put(s, text[0]);
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
