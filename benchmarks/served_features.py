"""The features function of `serve_p50_features_vs_inprocess`: twenty expressions over an application."""

import polars as pl


def twenty(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Return what a credit officer would work out: sums, ratios, steps and logarithms."""
    salary, commission, age, loan = (pl.col(name) for name in ("salary", "commission", "age", "loan"))
    hvalue, hyears, elevel = (pl.col(name) for name in ("hvalue", "hyears", "elevel"))
    income = salary + commission
    equity = pl.when(hyears < 20).then(0.0).otherwise(0.1 * hvalue * (hyears - 20))
    return rows.select(
        salary,
        commission,
        age,
        "car",
        "zipcode",
        income=income,
        net=income * 2 / 3,
        equity=equity,
        left=income * 2 / 3 + 0.2 * equity - 0.2 * loan,
        loan_of_income=loan / (income + 1),
        loan_of_house=loan / (hvalue + 1),
        house_of_income=hvalue / (income + 1),
        log_salary=salary.log1p(),
        log_loan=(loan + 1).log(),
        root_of_house=hvalue.sqrt(),
        young=age < 40,
        old=age >= 60,
        has_commission=commission > 0,
        educated=elevel.clip(0, 3),
        hyears_of_age=(hyears / age).round(3),
    )
