"""The fixed words of the reports, in every language of the product."""

from typing import Any

from losscope.core.text import Language, Text

WORDS: dict[str, Text] = {
    # --- states, severities, statuses -------------------------------------------------------------
    "state.healthy": Text(en="Healthy", zh="健康"),
    "state.suspicious": Text(en="Suspicious", zh="可疑"),
    "state.wrong": Text(en="Wrong", zh="有错误"),
    "state.not-enough-evidence": Text(en="Not enough evidence", zh="证据不足"),
    "severity.error": Text(en="Error", zh="错误"),
    "severity.warning": Text(en="Warning", zh="警告"),
    "severity.info": Text(en="Note", zh="说明"),
    "status.converged": Text(en="converged", zh="已收敛"),
    "status.falling": Text(en="falling", zh="下降"),
    "status.stuck": Text(en="stuck", zh="停滞"),
    "status.diverged": Text(en="diverged", zh="已发散"),
    "status.oscillating": Text(en="oscillating", zh="振荡"),
    "status.too-short": Text(en="too short to tell", zh="过短，无法判断"),
    "grade.confirmed": Text(en="Confirmed by experiment", zh="已由实验证实"),
    "grade.refuted": Text(en="Refuted by experiment", zh="已被实验否定"),
    "grade.strong": Text(en="Strong evidence", zh="证据充分"),
    "grade.moderate": Text(en="Moderate evidence", zh="证据中等"),
    "grade.weak": Text(en="Weak evidence", zh="证据薄弱"),
    "trial.confirmed": Text(en="confirmed", zh="证实"),
    "trial.refuted": Text(en="refuted", zh="否定"),
    "trial.open": Text(en="left open", zh="未定"),
    # --- headings ---------------------------------------------------------------------------------
    "verdict": Text(en="Verdict", zh="结论"),
    "facts": Text(en="Facts", zh="概况"),
    "checks": Text(en="Checks", zh="检查"),
    "findings": Text(en="Findings", zh="发现"),
    "timeline": Text(en="Timeline", zh="时间线"),
    "objective": Text(en="Objective", zh="目标函数"),
    "curves": Text(en="Curves", zh="曲线"),
    "layers": Text(en="Layers", zh="各层"),
    "geometry": Text(en="Geometry", zh="几何"),
    "examination": Text(en="Examination", zh="检查"),
    "passed": Text(en="Passed checks", zh="通过的检查"),
    "unseen": Text(en="Not seen", zh="未能观察的内容"),
    "raw": Text(en="Data and environment", zh="数据与环境"),
    "skip": Text(en="Skip to the verdict", zh="跳到结论"),
    "contents": Text(en="Contents", zh="目录"),
    "report": Text(en="Training report", zh="训练报告"),
    # --- verdict ----------------------------------------------------------------------------------
    "cause": Text(en="Cause", zh="原因"),
    "action": Text(en="What to do", zh="怎么做"),
    "evidence": Text(en="Evidence", zh="证据"),
    "expected": Text(en="expected", zh="预期"),
    "confidence": Text(en="confidence {value}", zh="置信度 {value}"),
    "no-action": Text(en="Nothing needs to be done.", zh="无需处理。"),
    "more-evidence": Text(
        en="Train for longer or record more, then judge again.", zh="请延长训练或记录更多数据后再判断。"
    ),
    "consequences": Text(en="Follows from this", zh="由此引起"),
    "consequences-line": Text(en="explains {count} more: {codes}", zh="同时解释了另外 {count} 项：{codes}"),
    "false-alarm": Text(en="When this is a false alarm", zh="何时是误报"),
    "experiment": Text(en="Experiment", zh="实验"),
    "fix": Text(en="Fix", zh="修改"),
    "experiment-line": Text(
        en="{name}: {outcome}; effect {effect} (interval {low} to {high})",
        zh="{name}：{outcome}；效应 {effect}（区间 {low} 至 {high}）",
    ),
    "learn-more": Text(en="More about this check", zh="关于这项检查"),
    "no-findings": Text(
        en="No check found anything that a person should act on.", zh="没有发现需要处理的问题。"
    ),
    "not-shown": Text(en="and {count} more", zh="另有 {count} 项"),
    # --- facts and counts -------------------------------------------------------------------------
    "script": Text(en="Script", zh="脚本"),
    "started": Text(en="Started", zh="开始时间"),
    "training": Text(en="Training", zh="训练"),
    "updates": Text(en="Updates", zh="更新次数"),
    "time": Text(en="Time", zh="用时"),
    "loss": Text(en="Loss", zh="损失"),
    "validation": Text(en="Validation loss", zh="验证损失"),
    "validation-short": Text(en="validation", zh="验证"),
    "best-last": Text(en="best {best}, last {last}", zh="最好 {best}，最后 {last}"),
    "overhead": Text(en="Cost of watching", zh="观测开销"),
    "overhead-start": Text(en="{cost}, {start} of it to start", zh="{cost}，其中启动占 {start}"),
    "overhead-of": Text(en="{value} of the script's own time", zh="占脚本自身用时 {value}"),
    "optimiser": Text(en="Optimiser", zh="优化器"),
    "parameters": Text(en="Parameters", zh="参数量"),
    "objective-now": Text(en="Loss now", zh="当前损失"),
    "count.error": Text(en="error", zh="错误"),
    "count.errors": Text(en="errors", zh="错误"),
    "count.warning": Text(en="warning", zh="警告"),
    "count.warnings": Text(en="warnings", zh="警告"),
    "count.note": Text(en="note", zh="说明"),
    "count.notes": Text(en="notes", zh="说明"),
    "count.passed": Text(en="passed", zh="通过"),
    "count.not-judged": Text(en="not judged", zh="未判断"),
    # --- timeline ---------------------------------------------------------------------------------
    "timeline.title": Text(en="Timeline of the run", zh="运行时间线"),
    "timeline.text": Text(
        en="Updates: {steps} · epochs: {epochs} · evaluations: {evaluations} · events: {events}",
        zh="更新：{steps} · 轮次：{epochs} · 评估：{evaluations} · 事件：{events}",
    ),
    "mark.epoch": Text(en="epoch {index} begins at update {step}", zh="第 {index} 轮从第 {step} 次更新开始"),
    "mark.evaluation": Text(en="evaluation at update {step}: {value}", zh="第 {step} 次更新处评估：{value}"),
    "mark.event": Text(en="{kind} at update {step}", zh="第 {step} 次更新：{kind}"),
    "legend.epoch": Text(en="epoch begins", zh="轮次开始"),
    "legend.evaluation": Text(en="evaluation", zh="评估"),
    "legend.finding": Text(en="evidence of a finding", zh="发现的证据"),
    "legend.event": Text(en="event", zh="事件"),
    "legend.bad": Text(en="not a finite number", zh="非有限数值"),
    "events": Text(en="Events", zh="事件"),
    "update": Text(en="update", zh="更新"),
    # --- objective --------------------------------------------------------------------------------
    "objective.none": Text(
        en="No objective was read: no backward pass was seen, or its graph was not recognised.",
        zh="未读取到目标函数：没有观察到反向传播，或无法识别其计算图。",
    ),
    "coefficient": Text(en="Coefficient", zh="系数"),
    "reduction": Text(en="Reduction", zh="归约"),
    "value": Text(en="Value", zh="数值"),
    "chance": Text(en="chance", zh="随机水平"),
    "floor": Text(en="floor", zh="下限"),
    "chance-level": Text(en="Chance level", zh="随机水平"),
    "floor-level": Text(en="Floor", zh="下限"),
    "skill": Text(en="Skill", zh="技能得分"),
    "prediction": Text(en="Prediction", zh="预测"),
    "activation": Text(en="Activation before the loss", zh="损失前的激活"),
    "activation.none": Text(en="none", zh="无"),
    "options": Text(en="Options", zh="选项"),
    "unknown": Text(en="unknown", zh="未知"),
    "read-at": Text(en="Read at", zh="读取位置"),
    "gauge.text": Text(
        en="Where the value stands between the floor and the chance level.",
        zh="数值在下限与随机水平之间的位置。",
    ),
    "skill.help": Text(
        en="Skill is the share of the way from the chance level to the floor that has been gone: 0 is a constant "
        "answer, 1 the smallest loss possible.",
        zh="技能得分是从随机水平到下限的路程中已走过的部分：0 等于恒定输出，1 为可能的最小损失。",
    ),
    "adds": Text(en="; adds {value}", zh="；贡献 {value}"),
    "adds-share": Text(en="; adds {value}, {share} of the total", zh="；贡献 {value}，占总值的 {share}"),
    "at-least": Text(
        en="the total cannot fall below {bound}, whatever the parameters",
        zh="无论参数取何值，总值都不可能低于 {bound}",
    ),
    "not-late": Text(en="not measured near the end of the run", zh="在运行末尾未测量"),
    "no-progress": Text(en="; its value does not measure progress", zh="；其数值不反映训练进展"),
    "contribution": Text(en="Adds to the total", zh="对总值的贡献"),
    "above-floor": Text(en="Above the floor", zh="高于下限"),
    "relative-chance": Text(en="Of the chance level", zh="占随机水平"),
    "relative-normaliser": Text(en="Normalised", zh="归一化值"),
    "relative-normaliser.value": Text(en="{value} (1 is {base})", zh="{value}（以 {base} 为 1）"),
    "relative-first": Text(en="Of its first value", zh="占初始值"),
    "relative-of": Text(en="{share} of {base}", zh="{base} 的 {share}"),
    "composition": Text(en="What the total is made of", zh="总值的构成"),
    "composition.term": Text(en="Term", zh="项"),
    "composition.share": Text(en="Share", zh="占比"),
    "composition.total": Text(en="Total", zh="总值"),
    "curve.relative": Text(en="Terms in units of their base value", zh="各项相对于其基准值"),
    "curve.by-chance": Text(en="{name} / chance {base}", zh="{name}／随机水平 {base}"),
    "curve.by-first": Text(en="{name} / first value {base}", zh="{name}／初始值 {base}"),
    # --- curves -----------------------------------------------------------------------------------
    "curve.loss": Text(en="Loss", zh="损失"),
    "curve.accuracy": Text(en="Accuracy", zh="准确率"),
    "curve.gradient-norm": Text(en="Gradient norm", zh="梯度范数"),
    "curve.update-ratio": Text(en="Update to weight ratio", zh="更新量与权重之比"),
    "curve.learning-rate": Text(en="Learning rate", zh="学习率"),
    "curve.step-time": Text(en="Time per update", zh="每次更新用时"),
    "curve.train": Text(en="training", zh="训练"),
    "curve.stream": Text(en="objective {name}", zh="目标 {name}"),
    "curve.group": Text(en="group {name}", zh="参数组 {name}"),
    "curve.text": Text(
        en="{name} over {count} records from update {first} to {last}: first {start}, lowest {low}, "
        "highest {high}, last {end}.",
        zh="{name}：第 {first} 至 {last} 次更新共 {count} 条记录；首值 {start}，最低 {low}，最高 {high}，末值 {end}。",
    ),
    "curve.empty": Text(en="{name}: no finite value was recorded.", zh="{name}：没有记录到有限数值。"),
    "curve.spread": Text(en="shade: lowest to highest", zh="阴影：最低到最高"),
    "curve.log": Text(en="logarithmic axis", zh="对数坐标"),
    "curve.beyond": Text(
        en="{count} stretches reach beyond the axis (lowest {low}, highest {high})",
        zh="{count} 段超出坐标范围（最低 {low}，最高 {high}）",
    ),
    "curve.outside": Text(en="{name} {value} lies outside the axis", zh="{name} {value} 在坐标范围之外"),
    "curve.bad": Text(
        en="✕ not a finite number, first at update {step}", zh="✕ 非有限数值，首次出现在第 {step} 次更新"
    ),
    "curve.marked": Text(en="marked: update {steps}", zh="标记：第 {steps} 次更新"),
    "curve.expected": Text(en="expected range", zh="预期范围"),
    "curve.table": Text(en="Values as a table", zh="数值表"),
    "curves.text": Text(
        en="All curves run over updates. Where updates lie close together, the line is their median and the "
        "shade reaches from the lowest to the highest value.",
        zh="横轴均为更新次数。更新过密时，线为相邻更新的中位数，阴影为其最低到最高值。",
    ),
    # --- signals, where a chart has room for better words than their names ---------------------------
    "signal.loss": Text(en="Loss", zh="损失"),
    "signal.term.value": Text(en="Value of the term", zh="该项的数值"),
    "signal.term.chance": Text(en="Chance level of the term", zh="该项的随机水平"),
    "signal.term.floor": Text(en="Floor of the term", zh="该项的下限"),
    "signal.evaluation.loss": Text(en="Validation loss", zh="验证损失"),
    "signal.evaluation.accuracy": Text(en="Validation accuracy", zh="验证准确率"),
    "signal.accuracy": Text(en="Accuracy", zh="准确率"),
    "signal.gradient.norm": Text(en="Gradient norm", zh="梯度范数"),
    "signal.gradient.norm.parameter": Text(en="Gradient norm of", zh="梯度范数："),
    "signal.parameter.norm": Text(en="Norm of", zh="范数："),
    "signal.update.norm.parameter": Text(en="Norm of the update of", zh="更新量范数："),
    "signal.update.ratio": Text(en="Update to weight ratio", zh="更新量与权重之比"),
    "signal.learning_rate": Text(en="Learning rate", zh="学习率"),
    "signal.gradient.alignment": Text(en="Cosine between successive gradients", zh="相邻梯度的余弦"),
    "signal.gradient.stale": Text(en="Last gradient still in place", zh="残留的上一步梯度"),
    # --- layers -----------------------------------------------------------------------------------
    "layers.text": Text(
        en="Gradient norm of each parameter over the run, and the sizes of its gradient and of its update "
        "beside its own. Rows follow the order of the model.",
        zh="每个参数的梯度范数随训练的变化，以及梯度和更新量相对于参数自身的大小。各行按模型顺序排列。",
    ),
    "layers.parameter": Text(en="Parameter", zh="参数"),
    "layers.strip": Text(en="Gradient norm over the run", zh="梯度范数随训练变化"),
    "layers.gradient": Text(en="Gradient norm (median)", zh="梯度范数（中位数）"),
    "layers.gradient-ratio": Text(en="Gradient / weight", zh="梯度／权重"),
    "layers.update-ratio": Text(en="Update / weight", zh="更新量／权重"),
    "layers.strip-text": Text(
        en="Gradient norm of {name}: lowest {low}, highest {high}.",
        zh="{name} 的梯度范数：最低 {low}，最高 {high}。",
    ),
    "layers.legend": Text(en="gradient norm", zh="梯度范数"),
    "layers.left-out": Text(
        en="{count} of {total} parameters are shown, chosen evenly; all are in the recording.",
        zh="共 {total} 个参数，均匀选取显示 {count} 个；全部数据在记录中。",
    ),
    # --- geometry ---------------------------------------------------------------------------------
    "geometry.none": Text(en="The objective was not examined: {why}.", zh="未检查目标函数：{why}。"),
    "geometry.left-out": Text(en="Not looked at", zh="未观察"),
    "geometry.seconds": Text(en="This took {seconds} s.", zh="用时 {seconds} 秒。"),
    "geometry.spectrum": Text(en="Spectrum of the curvature", zh="曲率谱"),
    "geometry.spectrum-text": Text(
        en="density of the eigenvalues of the Hessian; largest {values}",
        zh="Hessian 特征值的密度；最大者 {values}",
    ),
    "geometry.spectrum-note": Text(
        en="logarithmic density, six decades; ▼ the largest eigenvalues",
        zh="对数密度，六个数量级；▼ 为最大特征值",
    ),
    "geometry.directions": Text(en="Which parameters the top directions lie in", zh="最陡方向所在的参数"),
    "geometry.directions-text": Text(
        en="share of the squared length of each eigenvector in each parameter",
        zh="各特征向量平方长度在各参数中的占比",
    ),
    "geometry.directions-note": Text(
        en="eigenvectors of the largest eigenvalues; what is left white lies in other parameters",
        zh="最大特征值的特征向量；空白部分属于其他参数",
    ),
    "geometry.rates": Text(en="Stable learning rates", zh="稳定的学习率"),
    "geometry.own-rate": Text(
        en="The optimiser's learning rate and the largest stable one", zh="优化器的学习率与最大的稳定学习率"
    ),
    "geometry.stable": Text(en="stable up to {rate}", zh="稳定至 {rate}"),
    "geometry.now": Text(en="● the optimiser's learning rate: {rate}", zh="● 优化器的学习率：{rate}"),
    "geometry.plain": Text(en="gradient descent {rate}", zh="梯度下降 {rate}"),
    "geometry.momentum": Text(en="momentum 0.9: {rate}", zh="动量 0.9：{rate}"),
    "geometry.used": Text(
        en="● the last learning rate of the run: {rate} (Adam's steps are scaled otherwise)",
        zh="● 本次运行最后的学习率：{rate}（Adam 的步长另有缩放）",
    ),
    # --- not seen, environment --------------------------------------------------------------------
    "unseen.checks": Text(en="Checks that could not be made", zh="无法进行的检查"),
    "unseen.blind": Text(en="Places that could not be seen", zh="无法观察之处"),
    "unseen.faults": Text(
        en="Faults inside losscope (the training was not touched)", zh="losscope 内部故障（未影响训练）"
    ),
    "unseen.thinned": Text(
        en="Sampling was thinned to stay within the budget", zh="为保持在预算内而降低了采样频率"
    ),
    "unseen.damage": Text(en="Damage in the recording", zh="记录中的损坏"),
    "unseen.none": Text(
        en="Every check could be made and nothing was hidden.", zh="所有检查均已完成，没有遗漏。"
    ),
    "environment": Text(en="Environment", zh="环境"),
    "json": Text(en="Verdict as JSON", zh="结论（JSON）"),
    "json.same": Text(
        en="The same text is in verdict.json in the run folder.", zh="运行文件夹中的 verdict.json 内容相同。"
    ),
    "made-by": Text(
        en="Made by losscope {version}. This page needs no network and runs nothing from outside.",
        zh="由 losscope {version} 生成。本页面不需要网络，不加载任何外部内容。",
    ),
    # --- terminal and Markdown --------------------------------------------------------------------
    "short.not-judged": Text(
        en="checks that could not be made: {count}; the report says why",
        zh="{count} 项检查无法进行，原因见报告",
    ),
    "short.training": Text(en="{status}, {steps} updates in {time}", zh="{status}，{time} 内更新 {steps} 次"),
    "short.loss": Text(en="loss {told}", zh="损失 {told}"),
    "loss.levels": Text(
        en="{first} → {last} (mean of the last {window} updates; last batch {batch})",
        zh="{first} → {last}（最后 {window} 次更新的平均；最后一批 {batch}）",
    ),
    "per-element": Text(en="; {each} per element", zh="；每个元素 {each}"),
    "short.overhead": Text(en="watching cost {value}", zh="观测开销 {value}"),
    "short.more": Text(en="and {count} more; the report lists them", zh="另有 {count} 项发现，详见报告"),
}


def word(key: str, language: Language, **values: Any) -> str:
    """The words of ``key`` with ``values`` filled in."""
    return WORDS[key](**values).render(language)
