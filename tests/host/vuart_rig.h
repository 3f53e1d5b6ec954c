/*
 * A 16550A with its line and its console.
 */
#pragma once

#include "hv/vdev/vuart.h"
#include "tests/host/vdev_test.h"

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR, FCR = IIR };
enum { COM1 = 4 };

static struct edges edges;
static unsigned notified;
static struct vuart u;

static void notify(void *ctx)
{
	CHECK(ctx == &u);
	notified++;
}

static void fresh(void)
{
	edges = (struct edges){0};
	notified = 0;
	vuart_init(&u, COM1, edges_sink(&edges), notify, &u);
}

static uint8_t in(unsigned reg)
{
	return (uint8_t)vdev_read(&vuart_ops, &u, reg, 1);
}

static void out(unsigned reg, uint8_t v)
{
	vdev_write(&vuart_ops, &u, reg, 1, v);
}

static unsigned drain(void)
{
	uint8_t buf[100];
	unsigned n, all = 0;

	while ((n = vuart_take(&u, buf, sizeof(buf)))) {
		all += n;
	}
	return all;
}
